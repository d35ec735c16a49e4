"""Claims and outcomes on their way to the ledger, batch by batch.

While the ledger is away both wait: a claim has nothing better to do, and an outcome must not be lost.
Repeating either with its token is harmless, so an uncertain commit is simply tried again.
"""

import time
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.contract.states import FINAL, State
from worker.ledger import calls, transitions
from worker.ledger.artifacts import record_artifacts
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob, Outcome
from worker.notices import Notices
from worker.runtime import native

_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between two tries while the ledger is away


class Stopped(Exception):  # noqa: N818 - a condition, not a defect
    """The worker stops, and claims nothing more of a ledger that is away."""


class Blocked(Exception):  # noqa: N818 - a condition, not a defect
    """What was to be written is too much at once, or somebody else holds a row of it."""


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

    def is_one_statement(self) -> bool:
        """Whether one statement writes it: what a statement writes is a transaction already."""
        kinds = bool(self.claims) + bool(self.outcomes) + bool(self.returned)
        return kinds == 1 and not any(outcome.artifacts for outcome in self.outcomes)

    def weight(self) -> int:
        """About how many bytes the ledger gets."""
        return sum(len(outcome.result or b"") for outcome in self.outcomes)

    def halves(self) -> list["Batch"]:
        """The same in two; as it is, where it speaks of one job."""
        singles = [
            *(Batch(claims=[claim]) for claim in self.claims),
            *(Batch(outcomes=[outcome]) for outcome in self.outcomes),
            *(Batch(returned=[job]) for job in self.returned),
        ]
        middle = len(singles) // 2
        return [together(half) for half in (singles[:middle], singles[middle:]) if half]

    def apart(self) -> list["Batch"]:
        """The same in as many batches as there are outcomes, for any of these may be refused."""
        others = Batch(claims=self.claims, returned=self.returned)
        return [Batch(outcomes=[outcome]) for outcome in self.outcomes] + ([others] if others else [])


class Answers(msgspec.Struct):
    """What the ledger said, by job id. What is missing is not to be had, or was taken from this worker."""

    claimed: dict[UUID, ClaimedJob] = {}
    recorded: dict[UUID, State] = {}

    def __or__(self, other: "Answers") -> "Answers":
        """Both."""
        return Answers(claimed=self.claimed | other.claimed, recorded=self.recorded | other.recorded)


def together(batches: Sequence[Batch]) -> Batch:
    """Many batches as one."""
    return Batch(
        claims=[claim for batch in batches for claim in batch.claims],
        outcomes=[outcome for batch in batches for outcome in batch.outcomes],
        returned=[job for batch in batches for job in batch.returned],
    )


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

    def __init__(
        self,
        ledger: Ledger,
        notices: Notices,
        worker: str,
        give_up: Callable[[], bool],
        written: Callable[[int, float], None] = lambda _jobs, _seconds: None,
    ) -> None:
        """Make it.

        Args:
            ledger: to write to.
            notices: tell who waits for an end.
            worker: the name of the worker.
            give_up: whether to wait no longer for a ledger that is away.
            written: is told of how many jobs a transaction spoke, and how many seconds it took.
        """
        self._ledger = ledger
        self._worker = worker
        self._notices = notices
        self._give_up = give_up
        self._written = written
        self._natively: Callable[[Callable[[], Answers]], Answers] = native.caller(threads=2)

    def write(self, batch: Batch) -> Answers:
        """Write a batch, as often as it takes, and in parts where it cannot be written as a whole.

        Raises:
            Stopped: the ledger is away, the worker stops, and there are no outcomes. These are held until the
                grace is over; what was to be handed back goes back with the lease.
            Exception: the batch cannot be written as it is: the ledger, or the driver, refuses it.
        """
        tries = 0
        while True:
            try:
                return self.write_whole(batch)
            except Blocked:
                halves = batch.halves()
                if len(halves) > 1:
                    return self.write(halves[0]) | self.write(halves[1])
                if tries == 0:
                    logger.warning("ledger_blocked", entries=1)
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    def write_whole(self, batch: Batch, patience: float | None = None) -> Answers:
        """Write a batch, as often as it takes while the ledger is away.

        Args:
            batch: what to write.
            patience: seconds to wait for a row that somebody else holds; None: while a statement may run.

        Raises:
            Blocked: it takes too long, or too much memory.
            Stopped: as `write`.
            Exception: as `write`.
        """
        tries = 0
        while True:
            try:
                began = time.monotonic()
                answers = self._natively(lambda: self._write(batch, patience))
            except SQLAlchemyError as error:
                if not is_outage(error):
                    raise
                if self._give_up() and not batch.outcomes:
                    raise Stopped from error
                if is_too_much(error):
                    raise Blocked from error
                if tries == 0:
                    logger.warning("ledger_away", error=type(error).__name__)
            else:
                self._written(len(batch.job_ids()), time.monotonic() - began)
                return answers
            time.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries += 1

    def _write(self, batch: Batch, patience: float | None) -> Answers:
        at_once = patience is None and batch.is_one_statement()
        with self._ledger.write_at_once() if at_once else self._ledger.write() as connection:
            if patience is not None:
                calls.rows(connection, _WAIT_FOR_ROWS, {"patience": f"{int(patience * 1000)}ms"})
            answers = settle(connection, batch, self._worker)
        ended = [job_id for job_id, state in answers.recorded.items() if state in FINAL]
        if ended:
            self._notices.ended(ended)
        return answers


_WAIT_FOR_ROWS = "SELECT set_config('lock_timeout', %(patience)s, true)"

# SQLSTATE classes that speak of the server and not of the statement: connection, resources, intervention
# by an operator, system error, a transaction that lost a race, a read-only standby, and a worker that was
# started before the migration that it needs: what it calls is not there yet.
_OUTAGES = ("08", "53", "57", "58", "40", "25006", "55P03", "42883")

# Of these what may be the statement's own doing: its time or the server's memory was not enough for it, or
# somebody holds a row.
_TOO_MUCH = ("57014", "53200", "55P03")


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


def is_too_much(error: SQLAlchemyError) -> bool:
    """Whether less at once may succeed now."""
    code: str | None = getattr(getattr(error, "orig", None), "pgcode", None)
    return code in _TOO_MUCH
