"""RabbitMQ dies and comes back, with its data and without, falls silent, or is short of memory."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually
from tests.rabbitmq import RabbitMQ
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet
from tests.smoke.platform import QUEUE_OF, Platform, through
from worker.broker import BrokerDown
from worker.contract.queues import POOLS
from worker.ledger.records import NewJob

RESUMED = 10.0  # seconds after the broker's return until work goes on, as the design promises
QUEUES = tuple(QUEUE_OF[pool] for pool in POOLS)


@pytest.fixture(scope="module")
def wire(rabbitmq: RabbitMQ) -> Iterator[Proxy]:
    with Proxy(rabbitmq.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def fleet(platform: Platform, wire: Proxy) -> Iterator[Fleet]:
    """Workers that reach RabbitMQ over a wire that a test cuts."""
    url = through(platform.settings.broker_url or "", wire.port)
    with ExitStack() as stack:
        workers = {
            pool: stack.enter_context(platform.worker(pool, settings={"JOBYARD_BROKER_URL": url}))
            for pool in POOLS
        }
        for worker in workers.values():
            worker.ready()
        yield workers


def test_what_a_killed_rabbitmq_held_outlives_it_and_running_jobs_end_meanwhile(
    rabbitmq: RabbitMQ, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    held = client.submit("probe.echo", "upkeep")  # which no worker consumes
    rabbitmq.process.kill()
    gate.touch()
    for job_id in running:
        client.succeeded(job_id)  # while there is no broker
    rabbitmq.process.start()
    rabbitmq.process.ready()
    fresh = _submit(client)
    client.all_ended(fresh, RESUMED)
    _ran_once(client, fleet, running + fresh)
    eventually(lambda: client.depth("upkeep") == 1, RESUMED)
    assert client.job(held)["publications"] == 1
    client.cancel(held)


def test_work_goes_on_where_rabbitmq_comes_back_without_its_data(
    rabbitmq: RabbitMQ, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    waiting = [client.submit("probe.wait", "report", gate=str(gate)) for _ in range(10)]
    rabbitmq.process.kill()
    rabbitmq.process.wait()
    rabbitmq.forget()
    rabbitmq.process.start()
    rabbitmq.process.ready()
    gate.touch()
    client.all_ended(running + waiting, RESUMED)
    _ran_once(client, fleet, running + waiting)


def test_jobs_are_accepted_while_there_is_no_rabbitmq(
    rabbitmq: RabbitMQ, fleet: Fleet, client: Client
) -> None:
    rabbitmq.process.kill()
    accepted = [_accept(client, queue) for queue in QUEUES for _ in range(5)]
    rabbitmq.process.start()
    rabbitmq.process.ready()
    client.all_ended([job.id for job in accepted], RESUMED)
    _ran_once(client, fleet, [job.id for job in accepted])


def test_work_resumes_where_the_way_to_rabbitmq_fell_silent(
    wire: Proxy, fleet: Fleet, client: Client, gate: Path
) -> None:
    """No connection is closed: heartbeats tell both sides that the other one is gone."""
    running = _running(client, gate)
    wire.silence()
    fresh = _submit(client)
    client.all_ended(fresh, RESUMED)
    gate.touch()
    client.all_ended(running)
    _ran_once(client, fleet, running + fresh)


def test_workers_go_on_while_rabbitmq_is_short_of_memory_and_what_was_accepted_runs_afterwards(
    rabbitmq: RabbitMQ, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    rabbitmq.alarm(raised=True)
    try:
        accepted = [_accept(client, queue) for queue in QUEUES]
        with pytest.raises(BrokerDown):
            client.publish(accepted)
        gate.touch()
        client.all_ended(running)
    finally:
        rabbitmq.alarm(raised=False)
    fresh = [job.id for job in accepted]
    client.all_ended(fresh, RESUMED)
    _ran_once(client, fleet, running + fresh)


def test_jobs_whose_worker_died_before_it_could_acknowledge_them_do_not_run_again(
    rabbitmq: RabbitMQ, platform: Platform, client: Client, gate: Path
) -> None:
    """RabbitMQ delivers their messages once more, and finds what the ledger says."""
    with Proxy(rabbitmq.port) as wire:
        url = through(platform.settings.broker_url or "", wire.port)
        with platform.worker("threads", "database", settings={"JOBYARD_BROKER_URL": url}) as first:
            first.ready()
            ids = client.submit_many("probe.wait", "database", 3, gate=str(gate))
            for job_id in ids:
                client.running(job_id)
            wire.swallow()
            gate.touch()
            client.all_ended(ids)
            first.kill("SIGKILL")
    eventually(lambda: client.depth("database") == 3, RESUMED)  # they come back
    with platform.worker("threads", "database") as second:
        second.ready()
        client.succeeded(client.submit("probe.echo", "database"))
        eventually(lambda: rabbitmq.messages()["database"] == 0)
    for job_id in ids:
        assert client.outcomes(job_id) == ["succeeded"]


def test_a_queue_that_somebody_deleted_is_there_again_and_its_jobs_run(
    rabbitmq: RabbitMQ, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    waiting = [client.submit("probe.wait", "report", gate=str(gate)) for _ in range(5)]
    with rabbitmq.channel() as channel:
        channel.queue_delete("report")
    gate.touch()
    client.all_ended(running + waiting, RESUMED)
    _ran_once(client, fleet, running + waiting)


def _accept(client: Client, queue: str, kind: str = "probe.echo", **payload: Any) -> NewJob:
    """A job of which RabbitMQ has no message yet."""
    job = client.prepare(kind, queue, **payload)
    client.accept(job)
    return job


def _publish(client: Client, accepted: Sequence[NewJob]) -> list[UUID]:
    """Publish, on a new connection where the old one is gone."""
    try:
        client.publish(accepted)
    except BrokerDown:
        client.publish(accepted)
    return [job.id for job in accepted]


def _submit(client: Client) -> list[UUID]:
    """A job for each pool."""
    return _publish(client, [_accept(client, queue) for queue in QUEUES])


def _running(client: Client, gate: Path) -> list[UUID]:
    """A job that runs on each pool."""
    ids = _publish(client, [_accept(client, queue, "probe.wait", gate=str(gate)) for queue in QUEUES])
    for job_id in ids:
        client.running(job_id)
    return ids


def _ran_once(client: Client, fleet: Fleet, ids: list[UUID]) -> None:
    assert all(worker.container.status == "running" for worker in fleet.values())
    for job_id in ids:
        assert client.outcomes(job_id) == ["succeeded"]
