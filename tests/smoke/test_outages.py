"""The broker or the ledger goes away and comes back; workers reach them over wires that a test cuts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import redis

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually
from tests.servers import Servers
from tests.smoke import platform as platforms
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet
from tests.smoke.platform import QUEUE_OF, Platform, port_of, through
from tests.smoke.process import WorkerNode
from worker.contract.queues import POOLS, Pool

GRACE = 30.0  # seconds
RESUMED = 10.0  # seconds after the broker's return until work goes on, as the design promises
QUEUES = tuple(QUEUE_OF.values())
OWN: tuple[tuple[Pool, str], ...] = (("prefork", "database"), ("threads", "webhook"), ("gevent", "upkeep"))

Start = Callable[[Pool, str], WorkerNode]


@dataclass(frozen=True)
class Wires:
    """A platform whose workers reach their servers through proxies."""

    platform: Platform
    to_broker: Proxy
    to_ledger: Proxy

    @property
    def settings(self) -> dict[str, str]:
        urls = self.platform.settings
        return {
            "JOBYARD_BROKER_URL": through(urls.broker_url or "", self.to_broker.port),
            "JOBYARD_DATABASE_URL": through(urls.database_url or "", self.to_ledger.port),
        }


@pytest.fixture(scope="module")
def wires(embedded: Servers, folder: Path) -> Iterator[Wires]:
    """A platform of its own, with a lease that outlasts the outages."""
    place = folder / "wires"
    place.mkdir()
    place.chmod(0o711)
    with (
        embedded.database() as database_url,
        platforms.running(database_url, place, lease=15.0) as platform,
        Proxy(port_of(platform.settings.broker_url or "")) as to_broker,
        Proxy(port_of(database_url)) as to_ledger,
    ):
        yield Wires(platform, to_broker, to_ledger)


@pytest.fixture(scope="module")
def platform(wires: Wires) -> Platform:
    return wires.platform


@pytest.fixture(scope="module")
def fleet(wires: Wires) -> Iterator[Fleet]:
    with ExitStack() as stack:
        workers = {
            pool: stack.enter_context(wires.platform.worker(pool, settings=wires.settings)) for pool in POOLS
        }
        for worker in workers.values():
            worker.ready()
        yield workers


@pytest.fixture
def start(wires: Wires) -> Iterator[Start]:
    """Start a worker of one's own; it may not be ready."""
    with ExitStack() as stack:
        yield lambda pool, queue: stack.enter_context(
            wires.platform.worker(pool, queue, settings=wires.settings, grace=GRACE)
        )


def test_running_jobs_outlive_the_broker_and_work_resumes(
    platform: Platform, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    platform.broker.kill()
    gate.touch()
    for job_id in running:
        client.succeeded(job_id)  # while there is no broker
    platform.broker.container.start()
    platform.broker.ready()
    fresh = [client.submit("probe.echo", queue) for queue in QUEUES]
    client.all_ended(fresh, RESUMED)
    _nothing_was_lost(client, fleet, running + fresh)


def test_a_job_is_cancelled_while_there_is_no_broker(
    wires: Wires, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    wires.to_broker.cut()
    for job_id in running:
        client.cancel(job_id)
    for job_id in running:
        client.cancelled(job_id)
    wires.to_broker.restore()
    fresh = [client.submit("probe.echo", queue) for queue in QUEUES]
    client.all_ended(fresh, RESUMED)
    for worker in fleet.values():
        assert "raised unexpected" not in worker.logs()


def test_work_resumes_where_the_way_to_the_broker_fell_silent(
    wires: Wires, fleet: Fleet, client: Client, gate: Path
) -> None:
    """No connection is closed: nobody is told that the other side is gone."""
    running = _running(client, gate)
    wires.to_broker.silence()
    fresh = [client.submit("probe.echo", queue) for queue in QUEUES]
    client.all_ended(fresh, RESUMED)
    gate.touch()
    client.all_ended(running)
    _nothing_was_lost(client, fleet, running + fresh)


def test_outcomes_and_claims_wait_for_the_ledger(
    wires: Wires, fleet: Fleet, client: Client, gate: Path
) -> None:
    running = _running(client, gate)
    wires.to_ledger.cut()
    gate.touch()
    fresh = [client.submit("probe.echo", queue) for queue in QUEUES]
    for worker in fleet.values():
        worker.wait_for_log("ledger_away")
    assert [client.job(job_id)["state"] for job_id in running] == ["running"] * 3
    wires.to_ledger.restore()
    client.all_ended(running + fresh)
    _nothing_was_lost(client, fleet, running + fresh)


def test_an_outcome_that_waits_for_the_ledger_is_recorded_by_a_worker_that_stops(
    wires: Wires, start: Start, client: Client, gate: Path
) -> None:
    workers = [start(pool, queue) for pool, queue in OWN]
    ids = [client.submit("probe.wait", queue, gate=str(gate)) for _, queue in OWN]
    for job_id in ids:
        client.running(job_id)
    wires.to_ledger.cut()
    gate.touch()
    for worker in workers:
        worker.wait_for_log("ledger_away")
        worker.kill("SIGTERM")
        worker.wait_for_log("Warm shutdown")
    wires.to_ledger.restore()
    for worker, job_id in zip(workers, ids, strict=True):
        assert worker.stopped() == 0
        assert client.outcomes(job_id) == ["succeeded"]
        assert "grace_over" not in worker.logs()


def test_a_worker_without_a_broker_stops_when_it_is_told(wires: Wires, start: Start) -> None:
    workers = [start(pool, queue) for pool, queue in OWN]
    for worker in workers:
        worker.ready()
    wires.to_broker.cut()
    for worker in workers:
        worker.wait_for_log("Cannot connect")
        worker.kill("SIGTERM")
    try:
        assert [worker.stopped(GRACE / 3) for worker in workers] == [0, 0, 0]
    finally:
        wires.to_broker.restore()


def test_a_worker_starts_before_its_servers_do(wires: Wires, start: Start, client: Client) -> None:
    wires.to_ledger.cut()
    wires.to_broker.cut()
    workers = [start(pool, queue) for pool, queue in OWN]
    for worker in workers:
        worker.wait_for_log("lease_without_ledger")
    wires.to_ledger.restore()
    for worker in workers:
        worker.wait_for_log("Cannot connect")
    wires.to_broker.restore()
    for _, queue in OWN:
        client.succeeded(client.submit("probe.echo", queue))


def test_a_worker_starts_while_the_broker_has_no_memory_left(
    platform: Platform, start: Start, client: Client
) -> None:
    url = platform.settings.broker_url
    assert url is not None
    with redis.Redis.from_url(url) as broker:
        broker.config_set("maxmemory", 1)
        try:
            workers = [start(pool, queue) for pool, queue in OWN]
            for worker in workers:
                worker.wait_for_log("OutOfMemory")
        finally:
            broker.config_set("maxmemory", 0)
    for _, queue in OWN:
        client.succeeded(client.submit("probe.echo", queue))


def _running(client: Client, gate: Path) -> list[UUID]:
    """A job that runs on each pool."""
    ids = [client.submit("probe.wait", queue, gate=str(gate)) for queue in QUEUES]
    for job_id in ids:
        client.running(job_id)
    return ids


def _nothing_was_lost(client: Client, fleet: Fleet, ids: list[UUID]) -> None:
    eventually(lambda: all(worker.container.status == "running" for worker in fleet.values()))
    for job_id in ids:
        assert client.outcomes(job_id) == ["succeeded"]
