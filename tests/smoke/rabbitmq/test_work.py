"""Jobs, losses and odd messages on RabbitMQ, whose messages are acknowledged after the outcome."""

from pathlib import Path
from typing import Any

import kombu
import pytest

from tests.awaiting import eventually
from tests.rabbitmq import RabbitMQ
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet, StartWorker
from tests.smoke.platform import Platform
from worker.broker import DROPPED
from worker.contract.queues import Pool
from worker.ledger.ids import new_id

AT_ONCE = 5.0  # seconds; without a word RabbitMQ would wait for its heartbeats


def test_jobs_of_every_outcome_end_and_leave_no_message(
    client: Client, queue: str, rabbitmq: RabbitMQ
) -> None:
    ids = client.submit_many("probe.echo", queue, 200)
    ids += [client.submit("probe.flaky", queue, failures=2), client.submit("probe.fatal", queue)]
    client.all_ended(ids)
    assert {client.job(job_id)["state"] for job_id in ids[:-1]} == {"succeeded"}
    assert client.job(ids[-1])["state"] == "failed"
    eventually(lambda: rabbitmq.messages()[queue] == 0)  # those in the hands of workers included


@pytest.mark.parametrize("pool", ["prefork"])
def test_a_child_that_dies_is_a_loss_and_its_message_does_not_come_back(client: Client, queue: str) -> None:
    job_id = client.submit("probe.die", queue, times=1)
    client.succeeded(job_id)
    assert client.outcomes(job_id) == ["lost", "succeeded"]


def test_a_doubled_message_runs_its_job_once(client: Client, queue: str, gate: Path) -> None:
    job = client.prepare("probe.wait", queue, gate=str(gate))
    client.accept(job)
    client.publish([job] * 3)
    client.running(job.id)
    client.publish([job] * 3)
    client.succeeded(client.submit("probe.echo", queue))
    gate.touch()
    client.succeeded(job.id)
    assert client.outcomes(job.id) == ["succeeded"]


def test_the_messages_of_a_killed_worker_return_at_once_and_what_it_ran_runs_once_more(
    client: Client, start_worker: StartWorker, gate: Path
) -> None:
    """Rescue publishes what ran, and RabbitMQ delivers its message again: together they run it once."""
    first = start_worker("threads", concurrency=1)
    ran = client.submit("probe.wait", "database", gate=str(gate))
    client.running(ran)
    unclaimed = client.submit_many("probe.echo", "database", 3)
    eventually(lambda: client.depth("database") == 0)  # all in the hands of the worker
    first.container.teardown()
    eventually(lambda: client.depth("database") == 4, AT_ONCE)
    second = start_worker("threads")
    client.all_ended(unclaimed)
    for job_id in unclaimed:
        assert client.job(job_id)["publications"] == 1
    gate.touch()
    client.succeeded(ran)
    assert client.outcomes(ran) == ["lost", "succeeded"]
    assert [entry["worker"] for entry in client.history(ran)] == [first.name(), second.name()]


def test_long_work_is_taken_one_message_for_each_slot(
    client: Client, start_worker: StartWorker, gate: Path
) -> None:
    start_worker("prefork", concurrency=2, prefetch=1)
    ids = [client.submit("probe.wait", "database", gate=str(gate)) for _ in range(5)]
    for job_id in ids[:2]:
        client.running(job_id)
    assert client.depth("database") == 3
    gate.touch()
    client.all_ended(ids)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param({"task": "probe.of_tomorrow"}, "rejected", id="of an unknown kind"),
        pytest.param({"id": None, "task": None}, "rejected", id="without a job"),
    ],
)
def test_what_a_worker_refuses_is_put_aside(
    client: Client, queue: str, rabbitmq: RabbitMQ, headers: dict[str, Any], reason: str
) -> None:
    rabbitmq.empty()
    with rabbitmq.channel() as channel:
        kombu.Producer(channel).publish(
            [[], {}, {}], routing_key=queue, headers={"lang": "py", "id": str(new_id()), **headers}
        )
        aside = eventually(lambda: channel.basic_get(DROPPED, no_ack=True))
    assert aside.headers["x-death"][0]["reason"] == reason
    client.succeeded(client.submit("probe.echo", queue))


def test_a_job_whose_message_was_put_aside_is_published_again(client: Client, queue: str) -> None:
    """Nothing consumes what was put aside: the ledger knows which jobs are still queued."""
    job = client.prepare("probe.echo", queue)
    client.accept(job)
    with kombu.Connection(client.broker_url) as connection:
        connection.Producer().publish(
            [[], {}, {}], routing_key=queue, headers={"task": "probe.of_tomorrow", "id": str(job.id)}
        )
    client.succeeded(job.id)
    assert client.job(job.id)["publications"] == 2


def test_a_worker_that_stops_gives_back_what_it_did_not_claim(
    client: Client, start_worker: StartWorker, pool: Pool, gate: Path
) -> None:
    worker = start_worker(pool, concurrency=1, grace=10.0)
    ran = client.submit("probe.wait", "database", gate=str(gate))
    client.running(ran)
    unclaimed = client.submit_many("probe.echo", "database", 3)
    eventually(lambda: client.depth("database") == 0)
    worker.kill("SIGTERM")
    start_worker("threads")
    client.all_ended(unclaimed)
    gate.touch()
    assert worker.stopped() == 0
    client.succeeded(ran)
    for job_id in (ran, *unclaimed):
        assert client.outcomes(job_id) == ["succeeded"]


def test_remote_control_reaches_every_worker(platform: Platform, fleet: Fleet) -> None:
    names = {worker.hostname() for worker in fleet.values()}
    inspect = platform.app.control.inspect(list(names), timeout=5.0, limit=len(names))
    eventually(lambda: set(inspect.ping() or {}) == names)


def test_a_dead_connection_keeps_no_worker_from_its_control_queue(fleet: Fleet, rabbitmq: RabbitMQ) -> None:
    """For some seconds RabbitMQ does not know that it is dead, and its worker has another one already."""
    with rabbitmq.channel() as other:
        for worker in fleet.values():
            assert other.queue_declare(f"{worker.hostname()}.celery.pidbox", passive=True).consumer_count == 1
