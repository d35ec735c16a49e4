"""A handler that runs longer than it may."""

import signal
from pathlib import Path

import pytest

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from worker.contract.queues import Pool

OVERRUN = {"type": "DeadlineExceeded", "message": "the attempt ran longer than its deadline of 0.5 s"}


@pytest.mark.parametrize("pool", ["prefork"])
def test_a_prefork_child_is_killed_and_the_job_tried_again(client: Client, queue: str, gate: Path) -> None:
    neighbour = client.submit("probe.wait", queue, gate=str(gate))
    job_id = client.submit("probe.late", queue, times=1)
    job = client.succeeded(job_id)
    first, second = client.history(job_id)
    assert (first["outcome"], first["error"]) == ("failed", OVERRUN)
    assert second["started_at"] > first["ended_at"]
    assert job["losses"] == 0
    gate.touch()
    client.succeeded(neighbour)
    assert client.outcomes(neighbour) == ["succeeded"]


@pytest.mark.parametrize("pool", ["prefork"])
def test_every_overrun_spends_an_attempt(client: Client, queue: str) -> None:
    job_id = client.submit("probe.late", queue, times=99)
    assert client.failed(job_id)["error"] == OVERRUN
    assert client.outcomes(job_id) == ["failed", "failed"]


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_a_worker_of_threads_drains_and_leaves(
    client: Client, start_worker: StartWorker, gate: Path, pool: Pool
) -> None:
    worker = start_worker(pool)
    neighbour = client.submit("probe.wait", "database", gate=str(gate))
    client.running(neighbour)
    job_id = client.submit("probe.late", "database", times=1)
    worker.wait_for_log("deadline_exceeded")
    assert client.job(job_id)["state"] == "running"  # until its thread is surely gone
    gate.touch()
    assert worker.stopped() == 0
    assert client.outcomes(neighbour) == ["succeeded"]
    assert [(entry["outcome"], entry["error"]) for entry in client.history(job_id)] == [("failed", OVERRUN)]
    worker.restart()
    job = client.succeeded(job_id)
    assert (job["attempt"], job["losses"], job["hand_backs"]) == (2, 0, 0)


def test_a_handler_that_stops_every_thread_of_its_process_is_ended_by_the_kernel(
    client: Client, start_worker: StartWorker
) -> None:
    """C code with the interpreter's lock: neither the attendant nor the heartbeat runs beside it."""
    prefork = start_worker("prefork", "database")
    threads = start_worker("threads", "webhook")
    of_child = client.submit("probe.freeze", "database")
    of_thread = client.submit("probe.freeze", "webhook")
    assert client.failed(of_child)["error"] == OVERRUN
    assert client.outcomes(of_child) == ["failed"]  # a spent attempt, and no loss
    client.succeeded(client.submit("probe.echo", "database"))
    assert prefork.container.status == "running"
    assert threads.stopped() == -signal.SIGALRM
    eventually(lambda: client.outcomes(of_thread) == ["lost"])
    client.cancel(of_thread)
