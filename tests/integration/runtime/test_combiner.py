"""Many claims and outcomes of one process, on a real ledger."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import cast
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.awaiting import eventually
from tests.integration.runtime.conftest import Look, Submit
from tests.stalls import stalls
from tests.unit.worker.runtime.samples import claiming, finishing
from worker.contract.states import State
from worker.ledger.engines import Ledger
from worker.ledger.records import Artifact, Claim, ClaimedJob, JobFailure, Outcome
from worker.notices import Notices
from worker.runtime.bookkeeping import Batch, LedgerLine
from worker.runtime.combiner import Combiner
from worker.runtime.verdict import LARGEST_RESULT
from worker.settings import Settings

WORKER = uuid4()


class Told:
    """Remembers who was said to have ended."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []

    def ended(self, ids: list[UUID]) -> None:
        self.ids += ids


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def combiner(ledger: Ledger, told: Told) -> Combiner:
    return Combiner(LedgerLine(ledger, cast("Notices", told), "worker", give_up=lambda: False))


def claim(job_id: UUID) -> Claim:
    return Claim(job_id=job_id, token=uuid4(), worker_id=WORKER, alone=False)


def success(job: ClaimedJob) -> Outcome:
    return Outcome(job_id=job.id, token=job.token, worker="worker", state=State.SUCCEEDED)


def artifact(job: ClaimedJob, content_type: str) -> Artifact:
    return Artifact(
        id=uuid4(),
        client_id=job.client_id,
        job_id=job.id,
        name="file",
        content_type=content_type,
        size=0,
        sha256="",
    )


def held(combiner: Combiner, submit: Submit, count: int) -> list[ClaimedJob]:
    with ThreadPoolExecutor(count) as pool:
        claimed = list(pool.map(partial(claiming, combiner), [claim(submit()) for _ in range(count)]))
    return [job for job in claimed if job is not None]


def test_each_of_many_is_claimed_and_recorded_once(
    combiner: Combiner, submit: Submit, look: Look, told: Told
) -> None:
    jobs = held(combiner, submit, 50)
    assert len({job.id for job in jobs}) == 50
    with ThreadPoolExecutor(50) as pool:
        states = list(pool.map(partial(finishing, combiner), map(success, jobs)))
    assert states == [State.SUCCEEDED] * 50
    assert {tuple(look(job.id)["outcomes"]) for job in jobs} == {("succeeded",)}
    assert sorted(told.ids) == sorted(job.id for job in jobs)


def test_one_outcome_that_cannot_be_recorded_does_not_hurt_its_neighbours(
    combiner: Combiner, submit: Submit, look: Look
) -> None:
    """The driver refuses a NUL, the ledger a moment beyond its calendar, the encoder half a letter."""
    jobs = held(combiner, submit, 20)
    words = [success(job) for job in jobs]
    words[3] = msgspec.structs.replace(words[3], artifacts=[artifact(jobs[3], "text/plain\0")])
    words[9] = msgspec.structs.replace(words[9], state=State.RETRYING, delay=1e15)
    words[15] = msgspec.structs.replace(words[15], error=JobFailure(type="X", message="\udcff"))
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(finishing, combiner, word) for word in words]
    refused = {at: error for at, future in enumerate(asked) if (error := future.exception())}
    assert refused.keys() == {3, 9, 15}
    assert isinstance(refused[3], ValueError)
    assert isinstance(refused[9], DBAPIError)
    assert isinstance(refused[15], UnicodeEncodeError)
    for at, job in enumerate(jobs):
        assert look(job.id)["state"] == ("running" if at in refused else "succeeded")


def test_a_late_word_changes_nothing(combiner: Combiner, submit: Submit, look: Look) -> None:
    (job,) = held(combiner, submit, 1)
    stranger = msgspec.structs.replace(success(job), token=uuid4())
    assert finishing(combiner, stranger) is None
    assert look(job.id)["state"] == "running"


def test_an_outcome_may_be_said_twice(combiner: Combiner, submit: Submit, look: Look) -> None:
    """As after a commit of which no answer came."""
    (job,) = held(combiner, submit, 1)
    assert finishing(combiner, success(job)) is State.SUCCEEDED
    assert finishing(combiner, success(job)) is State.SUCCEEDED
    assert look(job.id)["outcomes"] == ["succeeded"]


def test_a_job_that_is_not_to_be_had_does_not_hurt_its_neighbours(combiner: Combiner, submit: Submit) -> None:
    wishes = [claim(submit()) for _ in range(10)] + [claim(uuid4())]
    with ThreadPoolExecutor(11) as pool:
        claimed = list(pool.map(partial(claiming, combiner), wishes))
    assert [job and job.id for job in claimed[:10]] == [wish.job_id for wish in wishes[:10]]
    assert claimed[10] is None


def test_a_row_that_somebody_holds_holds_up_its_own_job_alone(
    combiner: Combiner, ledger: Ledger, submit: Submit, look: Look
) -> None:
    jobs = held(combiner, submit, 30)
    with ThreadPoolExecutor(31) as pool:
        with ledger.write() as connection:
            connection.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": jobs[7].id})
            asked = [pool.submit(finishing, combiner, success(job)) for job in jobs]
            others = [future.result(60.0) for future in asked if future is not asked[7]]
            assert others == [State.SUCCEEDED] * 29
            wish = claim(submit())
            with stalls() as machine:
                began = time.monotonic()
                assert claiming(combiner, wish)
                seconds = time.monotonic() - began
            assert seconds < 0.9 + machine.total
            assert not asked[7].done()
        assert asked[7].result(60.0) is State.SUCCEEDED
    assert look(jobs[7].id)["outcomes"] == ["succeeded"]


@pytest.fixture
def impatient(database_url: str, told: Told) -> Iterator[LedgerLine]:
    """The line of a prefork child, which has no combiner, and whose statements may run for 0.2 s."""
    ledger = Ledger.open(Settings(database_url=database_url, database_statement_timeout=0.2), "tests")
    yield LedgerLine(ledger, cast("Notices", told), "worker", give_up=lambda: False)
    ledger.close()


def test_a_row_that_somebody_holds_does_not_hold_up_its_bundle(
    impatient: LedgerLine, ledger: Ledger, combiner: Combiner, submit: Submit, look: Look
) -> None:
    jobs = held(combiner, submit, 4)
    with ThreadPoolExecutor(1) as pool:
        with ledger.write() as connection:
            connection.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": jobs[3].id})
            asked = pool.submit(impatient.write, Batch(outcomes=[success(job) for job in jobs]))
            eventually(lambda: all(look(job.id)["state"] == "succeeded" for job in jobs[:3]))
            assert not asked.done()
        assert asked.result(60.0).recorded.keys() == {job.id for job in jobs}


def test_many_large_results_are_recorded(combiner: Combiner, submit: Submit, look: Look) -> None:
    jobs = held(combiner, submit, 12)
    result = json.dumps("x" * (LARGEST_RESULT - 2)).encode()
    words = [msgspec.structs.replace(success(job), result=result) for job in jobs]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(partial(finishing, combiner), words)) == [State.SUCCEEDED] * 12
    assert look(jobs[5].id)["result"] is not None
