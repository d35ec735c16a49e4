"""Claims and outcomes on their way to the ledger, with a ledger that a test plays."""

from typing import Any, cast
from uuid import UUID, uuid4

import msgspec
import psycopg2
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.unit.worker.runtime.samples import claimed
from worker.contract.states import State
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact, Claim, Outcome
from worker.notices import Notices
from worker.runtime import bookkeeping
from worker.runtime.bookkeeping import Answers, Batch, LedgerLine, Stopped, is_outage, together


def claim(job_id: UUID | None = None) -> Claim:
    return Claim(job_id=job_id or uuid4(), token=uuid4(), worker_id=uuid4(), alone=False)


def outcome(job_id: UUID | None = None) -> Outcome:
    return Outcome(job_id=job_id or uuid4(), token=uuid4(), worker="worker", state=State.SUCCEEDED)


def artifact() -> Artifact:
    return Artifact(
        id=uuid4(), client_id=uuid4(), job_id=None, name="f", content_type="text/csv", size=1, sha256=""
    )


def away() -> OperationalError:
    return OperationalError("statement", {}, psycopg2.OperationalError("the server closed the connection"))


class Outage:
    """In the place of `LedgerLine._write`: fails a number of times."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.tries = 0

    def __call__(self, _batch: Batch, _patience: float | None) -> Answers:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return Answers()


@pytest.fixture
def ledger_line(monkeypatch: pytest.MonkeyPatch) -> LedgerLine:
    monkeypatch.setattr(bookkeeping, "_PAUSES", (0.0,))
    return LedgerLine(cast("Ledger", None), cast("Notices", None), "worker", give_up=lambda: False)


def _with(line: LedgerLine, outage: Outage, *, stopping: bool = False) -> LedgerLine:
    fake: Any = line
    fake._write = outage
    fake._give_up = lambda: stopping
    return line


@pytest.mark.parametrize(
    ("batch", "one"),
    [
        (Batch(claims=[claim(), claim()]), True),
        (Batch(outcomes=[outcome()]), True),
        (Batch(returned=[claimed()]), True),
        (Batch(claims=[claim()], outcomes=[outcome()]), False),
        (Batch(outcomes=[msgspec.structs.replace(outcome(), artifacts=[artifact()])]), False),
    ],
    ids=["claims", "an outcome", "a hand-back", "a claim and an outcome", "an outcome with a file"],
)
def test_what_takes_more_than_one_statement_needs_a_transaction(batch: Batch, *, one: bool) -> None:
    assert batch.is_one_statement() is one


def test_a_ledger_that_is_away_is_waited_for(ledger_line: LedgerLine) -> None:
    outage = Outage([away() for _ in range(20)])
    _with(ledger_line, outage).write(Batch(claims=[claim()]))
    assert outage.tries == 21


def test_what_the_ledger_refuses_is_not_tried_again(ledger_line: LedgerLine) -> None:
    outage = Outage([NoSuchTableError("jobs")])
    with pytest.raises(NoSuchTableError):
        _with(ledger_line, outage).write(Batch(outcomes=[outcome()]))
    assert outage.tries == 1


def test_a_worker_that_stops_waits_with_no_claim(ledger_line: LedgerLine) -> None:
    outage = Outage([away() for _ in range(20)])
    with pytest.raises(Stopped):
        _with(ledger_line, outage, stopping=True).write(Batch(claims=[claim()]))
    assert outage.tries == 1


def test_a_worker_that_stops_still_holds_its_outcomes(ledger_line: LedgerLine) -> None:
    outage = Outage([away() for _ in range(20)])
    _with(ledger_line, outage, stopping=True).write(Batch(outcomes=[outcome()], claims=[claim()]))
    assert outage.tries == 21


class Measured:
    """In the place of `LedgerLine._write`: too many outcomes at once are too much for it."""

    def __init__(self, error: Exception, most: int, *, blocked: int = 0) -> None:
        self.error, self.most, self.blocked = error, most, blocked
        self.sizes: list[int] = []

    def __call__(self, batch: Batch, _patience: float | None) -> Answers:
        self.sizes.append(len(batch.outcomes))
        if len(batch.outcomes) > self.most or len(self.sizes) <= self.blocked:
            raise self.error
        return Answers(recorded={outcome.job_id: outcome.state for outcome in batch.outcomes})


@pytest.mark.parametrize("code", ["57014", "53200", "55P03"])
def test_what_is_too_much_at_once_is_written_in_parts(ledger_line: LedgerLine, code: str) -> None:
    fake: Any = ledger_line
    fake._write = Measured(_refused(code), most=2)
    words = [outcome() for _ in range(5)]
    answers = ledger_line.write(Batch(outcomes=words))
    assert answers.recorded.keys() == {word.job_id for word in words}
    assert fake._write.sizes == [5, 2, 3, 1, 2]


def test_what_speaks_of_one_job_is_tried_again(ledger_line: LedgerLine) -> None:
    fake: Any = ledger_line
    fake._write = Measured(_refused("57014"), most=2, blocked=3)
    assert len(ledger_line.write(Batch(outcomes=[outcome()])).recorded) == 1
    assert fake._write.sizes == [1, 1, 1, 1]


def test_halves_speak_of_all() -> None:
    batch = Batch(claims=[claim(), claim()], outcomes=[outcome()], returned=[claimed()])
    halves = batch.halves()
    assert together(halves) == batch
    assert [len(half.job_ids()) for half in halves] == [2, 2]


def _refused(code: str | None, error: type[DBAPIError] = DBAPIError) -> DBAPIError:
    class Original(psycopg2.Error):
        pgcode = code

    return error("statement", {}, Original())


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (away(), True),
        (InterfaceError("statement", {}, psycopg2.InterfaceError("connection already closed")), True),
        (PoolTimeout("no connection"), True),
        (_refused("57P01"), True),  # admin_shutdown
        (_refused("57014"), True),  # query_canceled: the statement's timeout
        (_refused("53300"), True),  # too_many_connections
        (_refused("40P01"), True),  # deadlock_detected
        (_refused("25006"), True),  # read_only_sql_transaction: a standby
        (_refused("08006"), True),  # connection_failure
        (_refused("42883"), True),  # undefined_function: the ledger's migration is still to come
        (_refused("22003"), False),  # numeric_value_out_of_range
        (_refused("42P01"), False),  # undefined_table
        (_refused("23505"), False),  # unique_violation
        (_refused(None), False),
        (NoSuchTableError("jobs"), False),
    ],
)
def test_an_outage_is_told_from_a_refusal(error: SQLAlchemyError, *, outage: bool) -> None:
    assert is_outage(error) is outage
