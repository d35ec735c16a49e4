"""The courier between the ledger and the attempts that run in one process.

Carries marks of overruns, outcomes that a bundle holds, and progress to the ledger, and brings back who
should stop. It looks at the ledger itself, so a prefork child needs no word of its main process. It may wait
for a ledger that hangs, so it has a thread of its own: deadlines are the attendant's, who waits for nobody.
"""

import time
from collections.abc import Callable, Sequence

from loguru import logger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from worker.ledger import leases, transitions
from worker.ledger.engines import Ledger
from worker.runtime import native
from worker.runtime.attempt import Attempt
from worker.runtime.bookkeeping import Batch, is_too_much, settle
from worker.runtime.bundle import HELD, Bundle

_LEDGER_ROUND = 1.0  # seconds between two looks at who is unwanted

# Progress may be lost in a crash; waiting for the disk would slow everybody.
_CARELESSLY = text("SET LOCAL synchronous_commit = off")


class Courier:
    """Goes to the ledger and back."""

    def __init__(self, ledger: Ledger, worker: str) -> None:
        """Make a courier.

        Args:
            ledger: of this process.
            worker: the name of the worker, for the history of what it hands back.
        """
        self._ledger = ledger
        self._worker = worker
        self._natively: Callable[[Callable[[], None]], None] = native.caller()
        self._visited = 0.0
        self._away = False

    def go(self, attempts: Sequence[Attempt]) -> None:
        """Take to the ledger what it must know of these attempts, and see who should stop."""
        late = [attempt for attempt in attempts if attempt.overrun and not attempt.marked]
        if late:
            self._with_ledger(lambda: self._mark_overrun(late))
        for attempt in attempts:
            self._say_outcomes(attempt)
        if time.monotonic() - self._visited >= _LEDGER_ROUND:
            self._visited = time.monotonic()
            self._with_ledger(lambda: self._speak_and_listen(attempts))

    def _with_ledger(self, visit: Callable[[], None]) -> None:
        """Visit it, if that can be; an outage is logged when it begins, and when it is over."""
        try:
            self._natively(visit)
        except SQLAlchemyError as error:
            if not self._away:
                logger.warning("courier_without_ledger", error=type(error).__name__)
            self._away = True
        else:
            if self._away:
                logger.info("courier_with_ledger")
            self._away = False

    def _mark_overrun(self, late: Sequence[Attempt]) -> None:
        """Let whoever finds the jobs without their process know that the deadline took it."""
        with self._ledger.write() as connection:
            for attempt in late:
                transitions.mark_overrun(connection, attempt.job.id, attempt.job.token)
        for attempt in late:
            attempt.marked = True

    def _say_outcomes(self, attempt: Attempt) -> None:
        """Tell the ledger what ended in a bundle before, and what will not begin after this attempt."""
        word = attempt.bundle.unsaid(least=0.0 if attempt.overrun or attempt.stubborn else HELD)
        if word:
            self._with_ledger(lambda: self._say(attempt.bundle, word))

    def _say(self, bundle: Bundle, word: Batch) -> None:
        """Say it in parts where it is too much at once, lest a process that must end waits for ever."""
        try:
            with self._ledger.write() as connection:
                answers = settle(connection, word, self._worker)
        except SQLAlchemyError as error:
            halves = word.halves()
            if len(halves) == 1 or not is_too_much(error):
                raise
            for half in halves:
                self._say(bundle, half)
        else:
            bundle.said(word, answers)

    def _speak_and_listen(self, attempts: Sequence[Attempt]) -> None:
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
