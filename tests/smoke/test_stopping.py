"""SIGTERM, on each pool: what runs gets its grace, what does not end is handed back, nothing stays held."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from tests.smoke.process import WorkerNode
from worker.contract.queues import POOLS, Pool

GRACE = 5.0  # seconds


@dataclass(frozen=True)
class Stopped:
    """A worker with two slots that was told to stop while both were taken, and what became of its jobs."""

    worker: WorkerNode
    exit_status: int
    released: Mapping[str, Any]  # the job of a message in hand, as it was while handlers still ran
    ended_in_time: UUID
    cut_off: UUID


@pytest.fixture(scope="module", params=POOLS)
def stopped(request: pytest.FixtureRequest, platform: Platform) -> Iterator[Stopped]:
    pool: Pool = request.param
    client, gate, never = platform.client, platform.gate(), platform.gate()
    try:
        with platform.worker(pool, "database", concurrency=2, grace=GRACE) as worker:
            running = _occupy(platform, worker, gate, never)
            with client.paused("database"):
                yield _stop(platform, worker, gate, running)
    finally:  # what is left must not take the workers of other tests
        gate.touch()
        never.touch()
        client.purge("database")
        for job_id in client.unfinished("database"):
            client.cancel(job_id)


def _occupy(platform: Platform, worker: WorkerNode, gate: Path, never: Path) -> tuple[UUID, UUID, UUID]:
    """Take both slots, and put a third message into the worker's hand."""
    client = platform.client
    worker.ready()
    ended_in_time = client.submit("probe.wait", "database", gate=str(gate))
    cut_off = client.submit("probe.deaf", "database", gate=str(never))
    for job_id in (ended_in_time, cut_off):
        client.running(job_id)
    unclaimed = client.submit("probe.echo", "database")
    inspect = platform.app.control.inspect([worker.hostname()], timeout=1.0, limit=1)
    eventually(lambda: str(unclaimed) in str(inspect.reserved()))  # its message is in hand
    return ended_in_time, cut_off, unclaimed


def _stop(platform: Platform, worker: WorkerNode, gate: Path, running: tuple[UUID, UUID, UUID]) -> Stopped:
    client, (ended_in_time, cut_off, unclaimed) = platform.client, running
    client.publish([client.prepare("probe.echo", "database")])  # keeps reconcile from doing its work
    worker.kill("SIGTERM")
    eventually(lambda: client.job(unclaimed)["published_at"] is None, GRACE)
    released = client.job(unclaimed)
    gate.touch()
    return Stopped(worker, worker.stopped(), released, ended_in_time, cut_off)


def test_it_exits_without_an_error(stopped: Stopped) -> None:
    assert stopped.exit_status == 0


def test_a_handler_that_ends_within_the_grace_has_its_outcome_recorded(
    stopped: Stopped, client: Client
) -> None:
    assert client.job(stopped.ended_in_time)["state"] == "succeeded"
    assert client.outcomes(stopped.ended_in_time) == ["succeeded"]


def test_a_handler_that_does_not_is_handed_back_unspent(stopped: Stopped, client: Client) -> None:
    job = client.job(stopped.cut_off)
    assert job["state"] in {"queued", "retrying"}
    assert (job["attempt"], job["losses"], job["hand_backs"]) == (1, 0, 1)
    assert client.outcomes(stopped.cut_off) == ["handed_back"]
    assert client.history(stopped.cut_off)[0]["error"]["type"] == "HandedBack"


def test_what_it_had_not_claimed_can_be_published_again_at_once(stopped: Stopped) -> None:
    job = stopped.released
    assert (job["state"], job["published_at"], job["attempt"]) == ("queued", None, 0)


def test_its_lease_is_gone(stopped: Stopped, client: Client) -> None:
    assert stopped.worker.name() not in client.leases()


def test_an_idle_worker_leaves_at_once(start_worker: StartWorker, client: Client) -> None:
    worker = start_worker("threads")
    eventually(lambda: worker.name() in client.leases())
    worker.kill("SIGTERM")
    assert worker.stopped(10.0) == 0  # half of its grace
    assert worker.name() not in client.leases()
