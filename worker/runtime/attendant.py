"""The attendant of the attempts that run in one process.

Watches their deadlines, says their progress, learns which of them should stop, and lets no outcome of a
bundle wait long for a handler that goes on. One thread a process, asleep while nothing runs. It looks at the
ledger itself, so a prefork child needs no word of its main process.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from worker.ledger import leases, transitions
from worker.ledger.engines import Ledger
from worker.runtime import native
from worker.runtime.attempt import Attempt
from worker.runtime.bookkeeping import settle
from worker.runtime.bundle import HELD

_ROUND = 0.25  # seconds between two looks at the deadlines
_LEDGER_ROUND = 1.0  # seconds between two visits to the ledger
_CANCEL_GRACE = 5.0  # seconds that a cancelled handler gets to stop by itself
_FROZEN = 5.0  # seconds past a deadline without a look at it, after which the process is given up

# Progress may be lost in a crash; waiting for the disk would slow everybody.
_CARELESSLY = text("SET LOCAL synchronous_commit = off")


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
        self._ledger = ledger
        self._alone = alone
        self._worker = worker
        self._alarm = alarm or _alarm
        self._natively: Callable[[Callable[[], None]], None] = native.caller()
        self._running: dict[UUID, Attempt] = {}  # by claim token
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._visited = 0.0

    @contextlib.contextmanager
    def watch(self, attempt: Attempt) -> Iterator[None]:
        """Watch an attempt while its handler runs, and not a moment longer."""
        with self._changed:
            self._running[attempt.job.token] = attempt
            if len(self._running) == 1:
                self._set_alarm()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="attendant", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            # Under the lock: whoever is about to stop this process for the attempt's sake did so, or sees
            # that it is over. So a process is never killed while an outcome is on its way.
            with self._changed:
                del self._running[attempt.job.token]
                if not self._running:
                    self._set_alarm()

    def running(self) -> list[Attempt]:
        """The attempts whose handlers run now."""
        with self._changed:
            return list(self._running.values())

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._running:
                    self._changed.wait()
            try:
                self._round()
            except Exception as error:  # noqa: BLE001 - without this thread no deadline would hold
                logger.opt(exception=error).error("attendant_failed")
            time.sleep(_ROUND)

    def _round(self) -> None:
        with self._changed:
            self._set_alarm()
        self._enforce()
        for attempt in self.running():
            self._say_outcomes(attempt)
        if time.monotonic() - self._visited >= _LEDGER_ROUND:
            self._visited = time.monotonic()
            self._visit()

    def _set_alarm(self) -> None:
        """Have the kernel end this process where no thread of ours can.

        C code that keeps the interpreter's lock, or a greenlet that never yields, stops the attendant too.
        """
        left = [attempt.remaining() for attempt in self._running.values() if not attempt.overrun]
        self._alarm(min(left, default=0.0) + _FROZEN if self._running else 0.0)

    def _enforce(self) -> None:
        with self._changed:
            late = [a for a in self._running.values() if not a.overrun and a.remaining() == 0]
            for attempt in late:
                attempt.overrun = True
                attempt.unwanted_since = attempt.unwanted_since or time.monotonic()
                logger.warning("deadline_exceeded", job=attempt.job_id, kind=attempt.kind)
            if self._alone:
                return self._enforce_alone()
        if late:
            self._mark_overrun(late)
            _drain_worker()
        return None

    def _enforce_alone(self) -> None:
        """End this process, but not under an outcome that the ledger does not know yet."""
        if not any(a.overrun or _stubborn(a) for a in self._running.values()):
            return
        self._mark_overrun([attempt for attempt in self._running.values() if attempt.overrun])
        for attempt in self._running.values():
            attempt.bundle.break_off()
            self._say_outcomes(attempt)
        if not any(attempt.bundle.unsaid().outcomes for attempt in self._running.values()):
            _kill_this_process()

    def _say_outcomes(self, attempt: Attempt) -> None:
        """Tell the ledger what ended in a bundle before, and what will not begin after this attempt."""
        bundle = attempt.bundle
        if attempt.overrun:
            bundle.break_off()
        word = bundle.unsaid(least=0.0 if attempt.overrun or _stubborn(attempt) else HELD)

        def say() -> None:
            with self._ledger.write() as connection:
                answers = settle(connection, word, self._worker)
            bundle.said(word, answers)

        if word:
            self._with_ledger(say)

    def _mark_overrun(self, late: Sequence[Attempt]) -> None:
        """Let whoever finds the jobs without their process know that the deadline took it."""

        def mark() -> None:
            with self._ledger.write() as connection:
                for attempt in late:
                    transitions.mark_overrun(connection, attempt.job.id, attempt.job.token)

        self._with_ledger(mark)

    def _visit(self) -> None:
        attempts = self.running()
        if attempts:
            self._with_ledger(lambda: self._speak_and_listen(attempts))

    def _with_ledger(self, visit: Callable[[], None]) -> None:
        try:
            self._natively(visit)
        except SQLAlchemyError as error:
            logger.warning("attendant_without_ledger", error=type(error).__name__)

    def _speak_and_listen(self, attempts: list[Attempt]) -> None:
        said = [(attempt, attempt.unsaid_progress) for attempt in attempts]
        with self._ledger.write() as connection:
            connection.execute(_CARELESSLY)
            for attempt, progress in said:
                if progress is not None:
                    transitions.report_progress(connection, attempt.job.id, attempt.job.token, progress)
            unwanted = leases.unwanted(
                connection, [(attempt.job.id, attempt.job.token) for attempt in attempts]
            )
        for attempt, progress in said:
            if attempt.unsaid_progress is progress:
                attempt.unsaid_progress = None
            if attempt.job.token in unwanted and attempt.unwanted_since is None:
                attempt.unwanted_since = time.monotonic()


def _alarm(seconds: float) -> None:
    """Set the kernel's timer: nobody handles SIGALRM, so it kills."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _stubborn(attempt: Attempt) -> bool:
    since = attempt.unwanted_since
    return since is not None and time.monotonic() - since > _CANCEL_GRACE


def _kill_this_process() -> None:
    """Die at once, handler and all: the main process sees it and records what it means."""
    logger.complete()
    os.kill(os.getpid(), signal.SIGKILL)


def _drain_worker() -> None:
    """A thread cannot be stopped: the worker finishes what else runs, and exits to be started again."""
    os.kill(os.getpid(), signal.SIGTERM)
