"""A ledger with jobs for the parts of a worker that speak to it."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.unit.worker.runtime.samples import ask
from worker.enqueue import Enqueuer, enqueue, submission
from worker.ledger import jobs, transitions
from worker.ledger.engines import Ledger
from worker.ledger.records import Claim, ClaimedJob
from worker.settings import Settings

Submit = Callable[[], UUID]
Hold = Callable[..., ClaimedJob]
Look = Callable[[UUID], Any]


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return Settings(database_url=database_url, lease=2.0, heartbeat=0.1)


@pytest.fixture(scope="module")
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings, "tests")
    yield ledger
    ledger.close()


@pytest.fixture
def submit(ledger: Ledger) -> Submit:
    enqueuer = Enqueuer({ask.name: ask})

    def submit() -> UUID:
        job = enqueuer.prepare(submission(ask.name, {}), UUID(int=1), None, published=True)
        with ledger.write() as connection:
            enqueue(connection, job)
        return job.id

    return submit


@pytest.fixture
def hold(ledger: Ledger, submit: Submit) -> Hold:
    """Claim a new job for a worker, as a process of its pool does; it knows the job before."""

    def hold(worker_id: UUID, known: set[UUID] | None = None) -> ClaimedJob:
        job_id = submit()
        if known is not None:
            known.add(job_id)
        claim = Claim(job_id=job_id, token=uuid4(), worker_id=worker_id, alone=True)
        with ledger.write() as connection:
            (job,) = transitions.claim(connection, [claim])
        return job

    return hold


@pytest.fixture
def look(ledger: Ledger) -> Look:
    def look(job_id: UUID) -> Any:
        with ledger.read() as connection:
            job = jobs.find(connection, job_id)
            assert job is not None
            return {**job, "outcomes": [entry["outcome"] for entry in jobs.history(connection, job)]}

    return look
