"""What an operator does in Flower to a worker's pool and to the queues that it consumes, on each pool."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from celery.app.control import Control

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet, StartWorker
from tests.smoke.platform import Platform
from tests.smoke.process import WorkerNode
from worker.contract.queues import Pool
from worker.contract.states import State

PATIENCE = 30.0  # seconds for a worker's answer
QUEUE = "database"

Steer = Callable[..., dict[str, str]]


@pytest.fixture
def worker(start_worker: StartWorker, pool: Pool) -> WorkerNode:
    """A worker with two slots."""
    return start_worker(pool, QUEUE, concurrency=2)


@pytest.fixture
def steer(platform: Platform) -> Steer:
    """Give a worker a command; its answer."""
    control: Control = platform.app.control

    def steer(worker: WorkerNode, command: str, **arguments: Any) -> dict[str, str]:
        name = worker.hostname()
        eventually(lambda: control.ping([name], timeout=1.0, limit=1))  # it may listen a moment later
        options = {"destination": [name], "reply": True, "timeout": PATIENCE, "limit": 1}
        (reply,) = control.broadcast(command, arguments=arguments, **options)
        answer: dict[str, str] = reply[name]
        return answer

    return steer


def running(client: Client, jobs: list[UUID]) -> int:
    return [client.job(job)["state"] for job in jobs].count(State.RUNNING)


@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_pool_grows_and_shrinks_and_loses_nothing(
    client: Client, worker: WorkerNode, steer: Steer, gate: Path
) -> None:
    slow = client.submit_many("probe.wait", QUEUE, 5, gate=str(gate))
    eventually(lambda: running(client, slow) == 2)
    assert steer(worker, "pool_grow", n=2) == {"ok": "slots: 4"}
    eventually(lambda: running(client, slow) == 4)
    gate.touch()
    quick = client.submit_many("probe.echo", QUEUE, 200)
    eventually(lambda: "ok" in steer(worker, "pool_shrink", n=1))
    client.all_ended(slow + quick)
    assert {*map(tuple, map(client.outcomes, slow + quick))} == {("succeeded",)}
    assert steer(worker, "pool_shrink", n=2) == {"ok": "slots: 1"}
    assert "one must stay" in steer(worker, "pool_shrink", n=1)["error"]
    gate.unlink()
    slow = client.submit_many("probe.wait", QUEUE, 2, gate=str(gate))
    eventually(lambda: running(client, slow) == 1)
    gate.touch()
    client.all_ended(slow)


@pytest.mark.parametrize("pool", ["prefork"])
def test_slots_that_run_jobs_are_not_taken(
    client: Client, worker: WorkerNode, steer: Steer, gate: Path
) -> None:
    jobs = client.submit_many("probe.wait", QUEUE, 2, gate=str(gate))
    eventually(lambda: running(client, jobs) == 2)
    assert steer(worker, "pool_shrink", n=1)["error"].startswith("only 0 of 1 were free")
    gate.touch()
    for job in jobs:
        assert client.succeeded(job)["attempt"] == 1


def test_a_queue_is_left_and_taken_up_again_and_another_one_too(
    client: Client, worker: WorkerNode, steer: Steer
) -> None:
    client.succeeded(client.submit("probe.echo", QUEUE))
    assert steer(worker, "cancel_consumer", queue=QUEUE) == {"ok": f"no longer consuming from {QUEUE}"}
    eventually(lambda: steer(worker, "active_queues") == [])
    jobs = client.submit_many("probe.echo", QUEUE, 5)
    eventually(lambda: client.consumes(worker.hostname()) == [])
    assert {client.job(job)["state"] for job in jobs} == {State.QUEUED}
    assert "does not consume" in steer(worker, "cancel_consumer", queue=QUEUE)["error"]
    for queue in (QUEUE, "upkeep"):
        assert steer(worker, "add_consumer", queue=queue) == {"ok": f"consuming from {queue}"}
    for job in (*jobs, client.submit("probe.echo", "upkeep")):
        client.succeeded(job)
    eventually(lambda: client.consumes(worker.hostname()) == [QUEUE, "upkeep"])


def test_a_queue_that_is_not_in_the_table_is_refused(fleet: Fleet, pool: Pool, steer: Steer) -> None:
    error = steer(fleet[pool], "add_consumer", queue="databse")["error"]
    assert error.startswith("there is no queue databse: there are email, web,")


@pytest.mark.parametrize("pool", ["threads", "gevent"])
def test_what_must_be_alone_is_not_taken_by_a_process_that_others_share(
    fleet: Fleet, pool: Pool, steer: Steer
) -> None:
    assert "need a process each" in steer(fleet[pool], "add_consumer", queue="isolation")["error"]


@pytest.mark.parametrize("pool", ["threads"])
def test_a_pool_of_threads_says_that_it_keeps_its_size(fleet: Fleet, pool: Pool, steer: Steer) -> None:
    for command in ("pool_grow", "pool_shrink"):
        assert "a pool of threads keeps its size" in steer(fleet[pool], command, n=1)["error"]


def test_nothing_is_added_or_taken_in_numbers_below_one(fleet: Fleet, steer: Steer) -> None:
    for number in (0, -3):
        for command in ("pool_grow", "pool_shrink"):
            assert "must be 1 or more" in steer(fleet["prefork"], command, n=number)["error"]
