"""A worker that became deaf gives up and is started again; one that only looks like it works on."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.awaiting import eventually
from tests.smoke import deafness
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from tests.smoke.process import WorkerNode
from worker.contract.queues import Pool

STALL = 2.5  # seconds
GRACE = 1.5  # seconds
LONG_GRACE = 60.0  # seconds
LEFT = LONG_GRACE / 2  # seconds: without waiting for anything
SETTINGS = {"JOBYARD_STALL": str(STALL)}


def test_a_worker_whose_loop_hangs_hands_back_what_runs_and_exits(
    start_worker: StartWorker, client: Client, pool: Pool, gate: Path
) -> None:
    worker = start_worker(pool, concurrency=2, grace=GRACE, settings=SETTINGS)
    running = client.submit("probe.deaf", "database", gate=str(gate))
    client.running(running)
    deafness.hang(client.broker_url, "database")
    eventually(lambda: client.depth("database") == 0)
    waiting = client.submit("probe.echo", "database")
    assert worker.stopped() == os.EX_TEMPFAIL
    assert worker.logs().count("stalled") == 1
    assert client.outcomes(running) == ["handed_back"]
    assert worker.name() not in client.leases()
    gate.touch()
    start_worker(pool, concurrency=2)
    for job_id in (running, waiting):
        client.succeeded(job_id)


def test_a_worker_that_the_broker_forgot_leaves_at_once(
    start_worker: StartWorker, client: Client, platform: Platform, pool: Pool
) -> None:
    worker = start_worker(pool, grace=LONG_GRACE, settings=SETTINGS)
    _control(platform, worker, "stop_hearing")
    waiting = client.submit_many("probe.echo", "database", 3)  # the broker had still promised it one
    assert worker.stopped(LEFT) == os.EX_TEMPFAIL
    assert "grace_over" not in worker.logs()
    start_worker(pool)
    client.all_ended(waiting)


def test_a_worker_that_an_operator_told_to_consume_no_more_is_not_deaf(
    start_worker: StartWorker, client: Client, platform: Platform, pool: Pool
) -> None:
    worker = start_worker(pool, settings=SETTINGS)
    _control(platform, worker, "cancel_consumer")
    waiting = client.submit("probe.echo", "database")
    _stays(worker)
    _control(platform, worker, "add_consumer")
    client.succeeded(waiting)


def test_a_worker_without_a_slot_free_is_not_deaf(
    start_worker: StartWorker, client: Client, pool: Pool, gate: Path
) -> None:
    worker = start_worker(pool, concurrency=1, settings=SETTINGS)
    jobs = client.submit_many("probe.wait", "database", 20, gate=str(gate))  # more than it fetches ahead
    eventually(lambda: "running" in {client.job(job_id)["state"] for job_id in jobs})
    assert client.depth("database") > 0
    _stays(worker)
    gate.touch()
    client.all_ended(jobs)


def test_a_worker_whose_queue_is_paused_is_not_deaf(
    start_worker: StartWorker, client: Client, platform: Platform
) -> None:
    worker = start_worker("threads", settings=SETTINGS)
    with client.paused("database"):
        _control(platform, worker, "stop_hearing")
        waiting = client.submit("probe.echo", "database")
        _stays(worker)
    assert worker.stopped() == os.EX_TEMPFAIL
    start_worker("threads")
    client.succeeded(waiting)


def _control(platform: Platform, worker: WorkerNode, command: str) -> None:
    """Under gevent a worker that is ready listens to commands a moment later."""
    eventually(
        lambda: platform.app.control.broadcast(
            command,
            arguments={"queue": "database"},
            destination=[worker.hostname()],
            reply=True,
            timeout=1.0,
            limit=1,
        )
    )


def _stays(worker: WorkerNode) -> None:
    """It lives on for longer than a deaf one would."""
    with pytest.raises(subprocess.TimeoutExpired):
        worker.stopped(2 * STALL + 1.0)
