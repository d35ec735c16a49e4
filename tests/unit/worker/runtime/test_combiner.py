"""Claims and outcomes of many threads at once, with a line to the ledger that a test plays."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy.exc import NoSuchTableError

from tests.awaiting import eventually
from tests.unit.worker.runtime.samples import claimed, claiming, finishing
from tests.unit.worker.runtime.test_bookkeeping import claim, outcome
from worker.contract.states import State
from worker.ledger.records import Claim, Outcome
from worker.runtime.bookkeeping import Answers, Batch, Blocked, LedgerLine, Stopped
from worker.runtime.combiner import Combiner


class Line:
    """Answers at once what it is asked, unless the gate is closed; refuses what it must."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.gate = threading.Event()
        self.gate.set()
        self.refused: set[UUID] = set()
        self.error: Exception = ValueError("A string literal cannot contain NUL (0x00) characters.")

    def write_whole(self, batch: Batch, patience: float) -> Answers:
        assert patience < 5
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


def test_one_that_is_blocked_holds_up_nobody_but_itself(line: Line, combiner: Combiner) -> None:
    line.error = Blocked()
    line.gate.clear()
    with ThreadPoolExecutor(9) as pool:
        pool.submit(claiming, combiner, claim())
        eventually(lambda: line.batches)
        words = [outcome() for _ in range(8)]
        line.refused = {words[2].job_id}
        asked = [pool.submit(finishing, combiner, word) for word in words]
        eventually(lambda: combiner._waiting.qsize() == 8)
        line.gate.set()
        others = [future.result(10) for future in asked if future is not asked[2]]
        assert others == [State.SUCCEEDED] * 7
        assert finishing(combiner, outcome()) is State.SUCCEEDED
        assert not asked[2].done()
        line.refused = set()
        assert asked[2].result(10) is State.SUCCEEDED


def test_a_bundle_that_is_blocked_is_written_in_parts(line: Line, combiner: Combiner) -> None:
    words = [outcome() for _ in range(5)]
    line.refused, line.error = {words[3].job_id}, Blocked()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(combiner.write, Batch(outcomes=words))
        eventually(lambda: line.batches and line.batches[-1].job_ids() == {words[3].job_id})
        assert not asked.done()
        line.refused = set()
        assert asked.result(10).recorded.keys() == {word.job_id for word in words}


def test_large_results_do_not_become_one_statement(line: Line, combiner: Combiner) -> None:
    line.gate.clear()
    words = [msgspec.structs.replace(outcome(), result=b"x" * 2**20) for _ in range(20)]
    with ThreadPoolExecutor(21) as pool:
        pool.submit(claiming, combiner, claim())
        eventually(lambda: line.batches)
        asked = [pool.submit(finishing, combiner, word) for word in words]
        eventually(lambda: combiner._waiting.qsize() == 20)
        line.gate.set()
        assert [future.result(10) for future in asked] == [State.SUCCEEDED] * 20
    assert max(batch.weight() for batch in line.batches) == 8 * 2**20
