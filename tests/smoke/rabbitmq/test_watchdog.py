"""A worker that became deaf on RabbitMQ, which keeps what it sent to a worker that does not read."""

import os
from pathlib import Path

from tests.awaiting import eventually
from tests.smoke import deafness
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from tests.smoke.process import WorkerNode
from worker.contract.queues import Pool

STALL = 2.5  # seconds
GRACE = 1.5  # seconds
NOTICED = 60.0  # seconds: RabbitMQ takes a silent worker's messages back after its heartbeats
SETTINGS = {"JOBYARD_STALL": str(STALL)}


def test_a_worker_whose_loop_hangs_gives_up_and_what_it_had_runs_elsewhere(
    start_worker: StartWorker, client: Client, pool: Pool, gate: Path
) -> None:
    worker = start_worker(pool, concurrency=2, grace=GRACE, settings=SETTINGS)
    running = client.submit("probe.deaf", "database", gate=str(gate))
    client.running(running)
    deafness.hang(client.broker_url, "database")
    waiting = client.submit_many("probe.echo", "database", 3)  # the first of them may be in its hands
    assert worker.stopped(NOTICED) == os.EX_TEMPFAIL
    assert worker.logs().count("stalled") == 1
    gate.touch()
    start_worker(pool, concurrency=2)
    client.all_ended([running, *waiting])
    assert client.outcomes(running) == ["handed_back", "succeeded"]
    for job_id in waiting:
        assert client.outcomes(job_id) == ["succeeded"]


def test_a_worker_that_rabbitmq_sends_nothing_any_more_leaves_and_the_next_one_works(
    start_worker: StartWorker, client: Client, platform: Platform, pool: Pool
) -> None:
    worker = start_worker(pool, grace=GRACE, settings=SETTINGS)
    _stop_hearing(platform, worker)
    waiting = client.submit_many("probe.echo", "database", 3)
    assert worker.stopped(NOTICED) == os.EX_TEMPFAIL
    start_worker(pool)
    client.all_ended(waiting)
    for job_id in waiting:
        assert client.outcomes(job_id) == ["succeeded"]


def _stop_hearing(platform: Platform, worker: WorkerNode) -> None:
    """Under gevent a worker that is ready listens to commands a moment later."""
    # A connection of its own: a kept one may be from before another test's restart of the node.
    with platform.app.connection_for_write() as connection:
        eventually(
            lambda: platform.app.control.broadcast(
                "stop_hearing",
                arguments={"queue": "database"},
                destination=[worker.hostname()],
                reply=True,
                timeout=1.0,
                limit=1,
                connection=connection,
            )
        )
