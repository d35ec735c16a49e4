"""Claims and outcomes on their way to the ledger, with a ledger that a test plays."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy.exc import DBAPIError, InterfaceError, NoSuchTableError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tests.awaiting import eventually
from tests.unit.worker.runtime.samples import claimed, claiming, finishing
from worker.contract.states import State
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, Outcome
from worker.runtime import bookkeeping
from worker.runtime.bookkeeping import Answers, Batch, Combiner, LedgerLine, Stopped, is_outage
from worker.runtime.notice import Notices


def claim(job_id: UUID | None = None) -> Claim:
    return Claim(job_id=job_id or uuid4(), token=uuid4(), worker_id=uuid4(), alone=False)


def outcome(job_id: UUID | None = None) -> Outcome:
    return Outcome(job_id=job_id or uuid4(), token=uuid4(), worker="worker", state=State.SUCCEEDED)


def away() -> OperationalError:
    return OperationalError("statement", {}, psycopg2.OperationalError("the server closed the connection"))


class Line:
    """Answers at once what it is asked, unless the gate is closed; refuses what it must."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refused: set[UUID] = set()
        self.error: Exception = ValueError("A string literal cannot contain NUL (0x00) characters.")

    def write(self, batch: Batch) -> Answers:
        self.batches.append(batch)
        assert self.gate.wait(10)
        words: list[Claim | Outcome] = [*batch.claims, *batch.outcomes]
        if self.refused & {word.job_id for word in words}:
            raise self.error
        return Answers(
            claimed={c.job_id: claimed(id=c.job_id, token=c.token) for c in batch.claims},
            recorded={o.job_id: o.state for o in batch.outcomes},
        )


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def combiner(line: Line) -> Combiner:
    return Combiner(cast("LedgerLine", line))


def test_what_waits_while_a_statement_is_in_flight_becomes_the_next_one(
    line: Line, combiner: Combiner
) -> None:
    line.gate.clear()
    with ThreadPoolExecutor(21) as pool:
        first = pool.submit(claiming, combiner, claim())
        eventually(lambda: line.batches)
        words = [outcome() for _ in range(10)]
        wishes = [claim() for _ in range(10)]
        asked = [pool.submit(finishing, combiner, word) for word in words]
        asked_too = [pool.submit(claiming, combiner, wish) for wish in wishes]
        eventually(lambda: combiner._waiting.qsize() == 20)
        line.gate.set()
        assert first.result(10) is not None
        assert [future.result(10) for future in asked] == [State.SUCCEEDED] * 10
        assert [job.id for future in asked_too if (job := future.result(10))] == [w.job_id for w in wishes]
    assert [(len(batch.claims), len(batch.outcomes)) for batch in line.batches] == [(1, 0), (10, 10)]


def test_two_words_about_one_job_go_in_two_statements(line: Line, combiner: Combiner) -> None:
    line.gate.clear()
    with ThreadPoolExecutor(3) as pool:
        pool.submit(claiming, combiner, claim())
        eventually(lambda: line.batches)
        job_id = uuid4()
        asked = [pool.submit(claiming, combiner, claim(job_id)) for _ in range(2)]
        eventually(lambda: combiner._waiting.qsize() == 2)
        line.gate.set()
        tokens = {job.token for future in asked if (job := future.result(10))}
    assert len(tokens) == 2
    assert [len(batch.claims) for batch in line.batches] == [1, 1, 1]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("A string literal cannot contain NUL (0x00) characters."),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
        NoSuchTableError("jobs"),
    ],
)
def test_one_that_cannot_be_written_does_not_hurt_its_neighbours(
    line: Line, combiner: Combiner, error: Exception
) -> None:
    line.error = error
    line.gate.clear()
    with ThreadPoolExecutor(6) as pool:
        pool.submit(claiming, combiner, claim())
        eventually(lambda: line.batches)
        words = [outcome() for _ in range(5)]
        line.refused = {words[2].job_id}
        asked = [pool.submit(finishing, combiner, word) for word in words]
        eventually(lambda: combiner._waiting.qsize() == 5)
        line.gate.set()
        found = [future.exception(10) or future.result() for future in asked]
    assert found == [State.SUCCEEDED, State.SUCCEEDED, error, State.SUCCEEDED, State.SUCCEEDED]
    assert finishing(combiner, outcome()) is State.SUCCEEDED  # and the thread lives


def test_a_worker_that_stops_refuses_all_that_wait(line: Line, combiner: Combiner) -> None:
    wish = claim()
    line.refused, line.error = {wish.job_id}, Stopped()
    with pytest.raises(Stopped):
        claiming(combiner, wish)


class Outage:
    """In the place of `LedgerLine._write`: fails a number of times."""

    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.tries = 0

    def __call__(self, _batch: Batch) -> Answers:
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
        (_refused("22003"), False),  # numeric_value_out_of_range
        (_refused("42P01"), False),  # undefined_table
        (_refused("23505"), False),  # unique_violation
        (_refused(None), False),
        (NoSuchTableError("jobs"), False),
    ],
)
def test_an_outage_is_told_from_a_refusal(error: SQLAlchemyError, *, outage: bool) -> None:
    assert is_outage(error) is outage
