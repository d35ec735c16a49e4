"""What an operator does to a pool, where the broker counts what a worker holds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from worker.contract.states import State


@contextmanager
def steering(platform: Platform) -> Iterator[Callable[..., Any]]:
    """Sends commands on a connection of its own: a kept one may be from before the node was restarted."""
    with platform.app.connection_for_write() as connection:
        yield partial(platform.app.control.broadcast, connection=connection)


def test_a_pool_that_grew_runs_more_at_once_and_one_that_shrank_less(
    client: Client, platform: Platform, start_worker: StartWorker, gate: Path
) -> None:
    worker = start_worker("prefork", concurrency=2, prefetch=1)
    name = [worker.hostname()]

    def running() -> int:
        return [client.job(job)["state"] for job in jobs].count(State.RUNNING)

    jobs = client.submit_many("probe.wait", "database", 6, gate=str(gate))
    eventually(lambda: running() == 2)
    with steering(platform) as control:
        control("pool_grow", arguments={"n": 2}, destination=name)
    eventually(lambda: running() == 4)
    gate.touch()
    client.all_ended(jobs)
    gate.unlink()
    with steering(platform) as control:
        control("pool_shrink", arguments={"n": 3}, destination=name, reply=True, timeout=30.0, limit=1)
        # Which it answers when that is done.
        eventually(lambda: control("ping", destination=name, reply=True, timeout=1.0, limit=1))
    jobs = client.submit_many("probe.wait", "database", 3, gate=str(gate))
    eventually(lambda: running() == 1)
    eventually(lambda: client.depth("database") == 2)  # for other workers
    gate.touch()
    client.all_ended(jobs)
    assert {tuple(client.outcomes(job)) for job in jobs} == {("succeeded",)}
