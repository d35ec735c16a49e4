"""Cancelling a job that runs."""

from pathlib import Path

import pytest

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet
from tests.smoke.platform import QUEUE_OF
from tests.smoke.process import ended_within
from worker.contract.queues import Pool


def test_a_handler_that_heeds_it_stops(client: Client, queue: str, gate: Path) -> None:
    job_id = client.submit("probe.wait", queue, gate=str(gate))
    client.running(job_id)
    assert client.cancel(job_id) == "running"
    job = client.cancelled(job_id)
    assert job["error"]["type"] == "Cancelled"
    assert client.outcomes(job_id) == ["cancelled"]


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_handler_that_finishes_first_keeps_its_outcome(client: Client, queue: str, gate: Path) -> None:
    job_id = client.submit("probe.deaf", queue, gate=str(gate))
    client.running(job_id)
    client.cancel(job_id)
    gate.touch()
    job = client.succeeded(job_id)
    assert job["cancel_requested_at"] is not None
    assert client.outcomes(job_id) == ["succeeded"]


@pytest.mark.parametrize("pool", ["prefork"])
def test_a_child_of_the_prefork_pool_that_does_not_heed_it_is_killed(
    client: Client, queue: str, gate: Path, fleet: Fleet, pool: Pool
) -> None:
    before = fleet[pool].container.children()
    job_id = client.submit("probe.deaf", queue, gate=str(gate))
    client.running(job_id)
    client.cancel(job_id)
    client.cancelled(job_id)
    eventually(lambda: any(ended_within(child, 0.0) for child in before))
    assert len([child for child in before if ended_within(child, 0.0)]) == 1
    assert client.outcomes(job_id) == ["cancelled"]
    assert client.job(job_id)["losses"] == 0
    client.succeeded(client.submit("probe.echo", queue))


@pytest.mark.parametrize("pool", ["prefork"])
def test_a_job_that_was_cancelled_can_run_again(client: Client, gate: Path, fleet: Fleet, pool: Pool) -> None:
    assert fleet[pool].container.status == "running"
    job_id = client.submit("probe.wait", QUEUE_OF[pool], gate=str(gate))
    client.running(job_id)
    client.cancel(job_id)
    client.cancelled(job_id)
    client.run_again(job_id)
    eventually(lambda: client.outcomes(job_id) == ["cancelled", None])
    gate.touch()
    client.succeeded(job_id)
    assert client.outcomes(job_id) == ["cancelled", "succeeded"]
