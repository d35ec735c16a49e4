"""The attendant of the attempts that run in one process: holds them to their deadlines.

It waits for nobody, so that a ledger that hangs delays no deadline: what there is to say to the ledger a
courier carries, on a second thread. Both are asleep while nothing runs.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from loguru import logger

from worker.ledger.engines import Ledger
from worker.runtime.attempt import Attempt
from worker.runtime.courier import Courier
from worker.runtime.lineup import Lineup

_ROUND = 0.25  # seconds between two looks
_PATIENCE = 2.0  # seconds that the ledger gets to learn why a process ends
_FROZEN = 5.0  # seconds past a deadline without a look at it, after which the process is given up


class Attendant:
    """Watches attempts, and ends what must not go on."""

    def __init__(
        self, ledger: Ledger, *, alone: bool, worker: str, alarm: Callable[[float], None] | None = None
    ) -> None:
        """Make an attendant.

        Args:
            ledger: of this process.
            alone: this process runs one attempt at a time, and may die for it.
            worker: the name of the worker, for the history of what it hands back.
            alarm: ends this process after so many seconds, whatever its threads do; 0: does not.
        """
        self._alone = alone
        self._alarm = alarm or _alarm
        self._courier = Courier(ledger, worker)
        self._running: dict[UUID, Attempt] = {}  # by claim token
        self._in_time = Lineup()  # of these, those whose deadline has not come
        self._first: Attempt | None = None  # whose deadline the alarm is set for
        self._changed = threading.Condition()
        self._started = False

    @contextlib.contextmanager
    def watch(self, attempt: Attempt) -> Iterator[None]:
        """Watch an attempt while its handler runs, and not a moment longer."""
        with self._changed:
            self._running[attempt.job.token] = attempt
            self._in_time.add(attempt)
            if self._first is None or attempt.remaining() < self._first.remaining():
                self._set_alarm()
            self._start()
            self._changed.notify_all()
        try:
            yield
        finally:
            # Under the lock: whoever is about to stop this process for the attempt's sake did so, or sees
            # that it is over. So a process is never killed while an outcome is on its way.
            with self._changed:
                del self._running[attempt.job.token]
                self._in_time.remove(attempt)
                if attempt is self._first or not self._running:
                    self._set_alarm()

    def running(self) -> list[Attempt]:
        """The attempts whose handlers run now."""
        with self._changed:
            return list(self._running.values())

    def _start(self) -> None:
        if not self._started:
            self._started = True
            for name, task in (("attendant", self._look), ("courier", self._courier.go)):
                threading.Thread(target=self._repeat, args=(task,), name=name, daemon=True).start()

    def _repeat(self, task: Callable[[Sequence[Attempt]], None]) -> None:
        while True:
            with self._changed:
                if not self._running:
                    self._changed.wait()
            # Before the look: a short job is over by then, and those that follow it wake nobody.
            time.sleep(_ROUND)
            try:
                if running := self.running():
                    task(running)
            except Exception as error:  # noqa: BLE001 - without this thread no deadline would hold
                logger.opt(exception=error).error("attendant_failed")

    def _look(self, _attempts: Sequence[Attempt]) -> None:
        with self._changed:
            late = [a for a in self._running.values() if not a.overrun and a.remaining() == 0]
            for attempt in late:
                attempt.overrun = True
                self._in_time.remove(attempt)
                attempt.unwanted_since = attempt.unwanted_since or time.monotonic()
                attempt.bundle.break_off()
                logger.warning("deadline_exceeded", job=attempt.job_id, kind=attempt.kind)
            self._set_alarm()
            if self._alone:
                self._end_doomed()
        if late and not self._alone:
            _drain_worker()

    def _set_alarm(self) -> None:
        """Have the kernel end this process where no thread of ours can.

        C code that keeps the interpreter's lock, or a greenlet that never yields, stops the attendant too.
        """
        self._first = self._in_time.first()
        left = self._first.remaining() if self._first else 0.0
        self._alarm(left + _FROZEN if self._running else 0.0)

    def _end_doomed(self) -> None:
        """End this process where its attempt must not go on."""
        doomed = [attempt for attempt in self._running.values() if attempt.overrun or attempt.stubborn]
        for attempt in doomed:
            attempt.bundle.break_off()
            attempt.doomed_since = attempt.doomed_since or time.monotonic()
        if doomed and all(_may_end(attempt) for attempt in doomed):
            _kill_this_process(at_deadline=any(attempt.overrun for attempt in doomed))


def _may_end(attempt: Attempt) -> bool:
    """Whether its process may end: never under an outcome that the ledger does not know yet."""
    word = attempt.bundle.unsaid()
    if word.outcomes or attempt.doomed_since is None:
        return False
    told = not word and attempt.marked == attempt.overrun
    return told or time.monotonic() - attempt.doomed_since > _PATIENCE


def _alarm(seconds: float) -> None:
    """Set the kernel's timer: nobody handles SIGALRM, so it kills."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _kill_this_process(*, at_deadline: bool) -> None:
    """Die at once, handler and all: the main process sees it and records what it means.

    SIGALRM says that the deadline did it, as it does where the alarm ends a frozen process. So that is known
    also where the ledger took no mark.
    """
    logger.complete()
    if at_deadline:
        os.kill(os.getpid(), signal.SIGALRM)
    os.kill(os.getpid(), signal.SIGKILL)  # also where a handler catches the other


def _drain_worker() -> None:
    """A thread cannot be stopped: the worker finishes what else runs, and exits to be started again."""
    os.kill(os.getpid(), signal.SIGTERM)
