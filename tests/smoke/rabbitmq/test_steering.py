"""What an operator does to a pool, where the broker counts what a worker holds."""

from pathlib import Path

from tests.awaiting import eventually
from tests.smoke.client import Client
from tests.smoke.conftest import StartWorker
from tests.smoke.platform import Platform
from worker.contract.states import State


def test_a_pool_that_grew_runs_more_at_once_and_one_that_shrank_less(
    client: Client, platform: Platform, start_worker: StartWorker, gate: Path
) -> None:
    worker = start_worker("prefork", concurrency=2, prefetch=1)
    control = platform.app.control

    def running() -> int:
        return [client.job(job)["state"] for job in jobs].count(State.RUNNING)

    jobs = client.submit_many("probe.wait", "database", 6, gate=str(gate))
    eventually(lambda: running() == 2)
    control.pool_grow(2, destination=[worker.hostname()])
    eventually(lambda: running() == 4)
    gate.touch()
    client.all_ended(jobs)
    gate.unlink()
    control.pool_shrink(3, destination=[worker.hostname()], reply=True, timeout=30.0, limit=1)
    eventually(lambda: control.ping([worker.hostname()], limit=1))  # which it answers when that is done
    jobs = client.submit_many("probe.wait", "database", 3, gate=str(gate))
    eventually(lambda: running() == 1)
    eventually(lambda: client.depth("database") == 2)  # for other workers
    gate.touch()
    client.all_ended(jobs)
    assert {tuple(client.outcomes(job)) for job in jobs} == {("succeeded",)}
