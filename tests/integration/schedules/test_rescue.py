"""A dead worker's jobs run again; a living one's are left alone."""

from uuid import UUID

import pytest
from sqlalchemy import text

from schedules.metrics import Metrics
from schedules.rescue import Rescue
from tests.integration.ledger.situations import claim, enqueue, row, state
from tests.unit.schedules.stand_ins import Clock
from worker.contract.states import State
from worker.ledger import agenda, leases, transitions
from worker.ledger.engines import Ledger
from worker.settings import Settings

LIVING, DEAD = UUID(int=1), UUID(int=2)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rescue(ledger: Ledger, settings: Settings, metrics: Metrics, clock: Clock) -> Rescue:
    return Rescue(ledger, settings, metrics, clock)


def worker(ledger: Ledger, worker_id: UUID, heartbeat: str) -> UUID:
    """A worker with one running job; returns the job."""
    with ledger.write() as connection:
        leases.renew(connection, worker_id, name=f"w{worker_id.int}", host="h", pid=1, queues=["web"])
        aged = text(f"UPDATE workers SET heartbeat_at = now() - interval '{heartbeat}' WHERE id = :id")  # noqa: S608
        connection.execute(aged, {"id": worker_id})
        job_id = enqueue(connection)
        claim(connection, job_id, worker=worker_id)
    return job_id


def tick(ledger: Ledger, rescue: Rescue, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds)):
        clock.now += 1.0
        with ledger.write() as connection:
            todo = agenda.read(connection)
        rescue.run(todo)


def test_the_jobs_of_a_dead_worker_run_again(
    ledger: Ledger, rescue: Rescue, clock: Clock, metrics: Metrics
) -> None:
    lost, held = worker(ledger, DEAD, "1 minute"), worker(ledger, LIVING, "1 second")

    tick(ledger, rescue, clock, 7)
    with ledger.write() as connection:
        assert state(connection, lost) == State.RUNNING, "its worker may have been cut off with this beat"
    tick(ledger, rescue, clock, 3)

    with ledger.write() as connection:
        assert (state(connection, lost), state(connection, held)) == (State.QUEUED, State.RUNNING)
        assert row(connection, lost)["losses"] == 1
        assert list(connection.execute(text("SELECT id FROM workers")).scalars()) == [LIVING]
    rescued = metrics.registry.get_sample_value("jobyard_beat_rescued_total", {"state": "queued"})
    assert rescued == 1


def test_a_job_whose_worker_left_no_lease_is_found_too(ledger: Ledger, rescue: Rescue, clock: Clock) -> None:
    with ledger.write() as connection:
        job_id = enqueue(connection)
        claim(connection, job_id, worker=DEAD)

    tick(ledger, rescue, clock, 10)

    with ledger.write() as connection:
        assert state(connection, job_id) == State.QUEUED


def test_a_job_that_ends_with_its_worker_is_counted_by_its_kind(
    ledger: Ledger, rescue: Rescue, clock: Clock, metrics: Metrics
) -> None:
    metrics.expect(["test.kind"], [])
    job_id = worker(ledger, DEAD, "1 minute")
    with ledger.write() as connection:
        transitions.cancel(connection, job_id, "client")

    tick(ledger, rescue, clock, 7)
    tick(ledger, rescue, clock, 3)

    cancelled = {"kind": "test.kind", "state": "cancelled"}
    assert metrics.registry.get_sample_value("jobyard_jobs_finished_total", cancelled) == 1
