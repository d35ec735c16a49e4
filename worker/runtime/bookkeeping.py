"""Claims and outcomes on their way to the ledger: message by message, or combined.

While the ledger is away both wait: a claim has nothing better to do, and an outcome must not be lost.
Repeating either with its token is harmless, so an uncertain commit is simply tried again.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.contract.states import FINAL, State
from worker.ledger import transitions
from worker.ledger.artifacts import record_artifacts
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.runtime import native
from worker.runtime.notice import Notices

_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between two tries while the ledger is away
_LARGEST_BATCH = 200


class Stopped(Exception):  # noqa: N818 - a condition, not a defect
    """The worker stops, and claims nothing more of a ledger that is away."""


class Bookkeeper(Protocol):
    """Takes claims and outcomes to the ledger."""

    def write(self, batch: "Batch") -> "Answers":
        """Write claims and outcomes, of one job or of a bundle."""


class Batch(msgspec.Struct):
    """What goes to the ledger together; no two words in it speak of the same job."""

    claims: list[Claim] = []
    outcomes: list[Outcome] = []
    returned: list[ClaimedJob] = []  # handed back: nothing of their attempt was begun

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.claims or self.outcomes or self.returned)

    def job_ids(self) -> set[UUID]:
        """Of all that it speaks of."""
        spoken_of: list[Claim | Outcome] = [*self.claims, *self.outcomes]
        return {word.job_id for word in spoken_of} | {job.id for job in self.returned}

    def apart(self) -> list["Batch"]:
        """The same in as many batches as there are outcomes, for any of these may be refused."""
        others = Batch(claims=self.claims, returned=self.returned)
        return [Batch(outcomes=[outcome]) for outcome in self.outcomes] + ([others] if others else [])


class Answers(msgspec.Struct):
    """What the ledger said, by job id. What is missing is not to be had, or was taken from this worker."""

    claimed: dict[UUID, ClaimedJob] = {}
    recorded: dict[UUID, State] = {}


def settle(connection: Connection, batch: Batch, worker: str) -> Answers:
    """Write a batch: one statement for all claims, one for all outcomes, one for what is handed back.

    Args:
        connection: of an open transaction.
        batch: what to write.
        worker: the name of the worker, for the history of what it hands back.
    """
    answers = Answers()
    if batch.outcomes:
        answers.recorded = transitions.finish(connection, batch.outcomes)
        files = [
            file
            for outcome in batch.outcomes
            if outcome.job_id in answers.recorded
            for file in outcome.artifacts
        ]
        record_artifacts(connection, files)
    if batch.returned:
        transitions.hand_back(connection, [(job.id, job.token) for job in batch.returned], worker)
    if batch.claims:
        answers.claimed = {job.id: job for job in transitions.claim(connection, batch.claims)}
    return answers


class LedgerLine:
    """Writes batches one by one, and waits out the times when the ledger is away."""

    def __init__(self, ledger: Ledger, notices: Notices, worker: str, give_up: Callable[[], bool]) -> None:
        self._ledger = ledger
        self._worker = worker
        self._notices = notices
        self._give_up = give_up
        self._natively: Callable[[Callable[[], Answers]], Answers] = native.caller()

    def write(self, batch: Batch) -> Answers:
        """Write a batch, as often as it takes.

        Raises:
            Stopped: the ledger is away, the worker stops, and there are no outcomes. These are held until the
                grace is over; what was to be handed back goes back with the lease.
            Exception: the batch cannot be written as it is: the ledger, or the driver, refuses it.
        """
        tries = 0
        while True:
            try:
                return self._natively(lambda: self._write(batch))
            except SQLAlchemyError as error:
                if not is_outage(error):
                    raise
                if tries == 0:
                    logger.warning("ledger_away", error=type(error).__name__)
                if self._give_up() and not batch.outcomes:
                    raise Stopped from error
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    def _write(self, batch: Batch) -> Answers:
        with self._ledger.write() as connection:
            answers = settle(connection, batch, self._worker)
        ended = [job_id for job_id, state in answers.recorded.items() if state in FINAL]
        if ended:
            self._notices.ended(ended)
        return answers


class Combiner:
    """Makes what waits at the same moment into one statement: while one is in flight, the next gathers."""

    def __init__(self, line: LedgerLine) -> None:
        self._line = line
        self._waiting: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="combiner", daemon=True).start()

    def write(self, batch: Batch) -> Answers:
        """Write a batch together with what else waits."""
        entry = _Entry(batch)
        self._waiting.put(entry)
        return entry.answer.result()

    def _run(self) -> None:
        while True:
            self._serve(self._gather())

    def _gather(self) -> list["_Entry"]:
        entries = [self._waiting.get()]
        seen = set(entries[0].job_ids)
        with contextlib.suppress(queue.Empty):
            while len(seen) < _LARGEST_BATCH:
                entry = self._waiting.get_nowait()
                if entry.job_ids & seen:  # one statement cannot say two things of one job
                    self._waiting.put(entry)
                    break
                seen |= entry.job_ids
                entries.append(entry)
        return entries

    def _serve(self, entries: Sequence["_Entry"]) -> None:
        try:
            answers = self._line.write(_together([entry.batch for entry in entries]))
        except Exception as error:  # noqa: BLE001 - whatever one entry brings, this thread serves the others
            if len(entries) > 1 and not isinstance(error, Stopped):
                # One of them cannot be written: find it, and let the others pass.
                for entry in entries:
                    self._serve([entry])
                return
            for entry in entries:
                entry.answer.set_exception(error)
        else:
            for entry in entries:
                entry.answer.set_result(answers)


class _Entry:
    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.job_ids = batch.job_ids()
        self.answer: Future[Answers] = Future()


def _together(batches: Sequence[Batch]) -> Batch:
    return Batch(
        claims=[claim for batch in batches for claim in batch.claims],
        outcomes=[outcome for batch in batches for outcome in batch.outcomes],
        returned=[job for batch in batches for job in batch.returned],
    )


# SQLSTATE classes that speak of the server and not of the statement: connection, resources, intervention
# by an operator, system error, a transaction that lost a race, a read-only standby.
_OUTAGES = ("08", "53", "57", "58", "40", "25006", "55P03")


def is_outage(error: SQLAlchemyError) -> bool:
    """Whether the same statement may succeed later."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    code: str | None = getattr(error.orig, "pgcode", None)
    if code is None:  # the server said nothing: it could not be reached
        return isinstance(error, OperationalError | InterfaceError)
    return code.startswith(_OUTAGES)
