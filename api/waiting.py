"""Waiting for jobs to end: thousands of requests, one look at the ledger a second.

A waiter is an event under its job's id: no thread of its own (requests are greenlets), and no connection.
Two things wake it: one statement a second over all ids that are waited for, which is what can be relied
on, and the workers' notices (`api.wakeups`), which are faster.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from loguru import logger

Look = Callable[[Collection[UUID]], Collection[UUID]]  # ids → those of them that are in a final state


class Waiters:
    """Those who wait for a job to end, in one process.

    Args:
        look: asks the ledger which of some jobs ended.
        interval: seconds between two looks.
    """

    def __init__(self, look: Look, interval: float = 1.0) -> None:
        self._look = look
        self._interval = interval
        self._events: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="waiters", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    @contextmanager
    def expect(self, job_id: UUID) -> Iterator[threading.Event]:
        """An event that is set once the job ended, also when that is before anybody waits for it.

        So a caller expects first and reads the job then, and misses no end in between.
        """
        key, event = str(job_id), threading.Event()
        with self._lock:
            self._events.setdefault(key, set()).add(event)
        if self._closed.is_set():
            event.set()
        try:
            yield event
        finally:
            self._forget(key, event)

    def wake(self, job_ids: Iterable[str]) -> None:
        """Tell those who wait for these jobs that they ended; other ids are passed over."""
        for job_id in job_ids:
            with self._lock:
                events = list(self._events.get(job_id, ()))
            for event in events:
                event.set()

    def close(self) -> None:
        """End all waiting at once, also what comes later: the process stops."""
        self._closed.set()
        with self._lock:
            waited_for = list(self._events)
        self.wake(waited_for)

    def _forget(self, key: str, event: threading.Event) -> None:
        with self._lock:
            events = self._events[key]
            events.discard(event)
            if not events:
                del self._events[key]

    def _run(self) -> None:
        while not self._closed.wait(self._interval):
            self._look_once()

    def _look_once(self) -> None:
        with self._lock:
            waited_for = [UUID(key) for key in self._events]
        if not waited_for:
            return
        try:
            self.wake(map(str, self._look(waited_for)))
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait need the next look
            logger.warning("waiters_look_failed", error=type(error).__name__)
