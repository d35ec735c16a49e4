"""The ledger is away for everybody, and for longer than a lease: nothing is lost, and nothing runs twice."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from tests.awaiting import eventually
from tests.servers import Servers
from tests.smoke import platform as platforms
from tests.smoke.client import Client
from tests.smoke.conftest import Fleet
from tests.smoke.platform import QUEUE_OF, Platform
from worker.contract.queues import POOLS

LEASE = 3.0  # seconds
AWAY = 3 * LEASE
QUEUES = tuple(QUEUE_OF.values())


@pytest.fixture(scope="module")
def platform(embedded: Servers, folder: Path) -> Iterator[Platform]:
    place = folder / "outage"
    place.mkdir()
    place.chmod(0o711)
    with embedded.database() as url, platforms.running(url, place, lease=LEASE) as platform:
        yield platform


@pytest.fixture(scope="module")
def fleet(platform: Platform) -> Iterator[Fleet]:
    with ExitStack() as stack:
        workers = {pool: stack.enter_context(platform.worker(pool)) for pool in POOLS}
        for worker in workers.values():
            worker.ready()
        yield workers


def test_outcomes_are_held_and_nothing_runs_twice(
    platform: Platform, fleet: Fleet, client: Client, gate: Path
) -> None:
    ended_meanwhile = [client.submit("probe.wait", queue, gate=str(gate)) for queue in QUEUES]
    running_on = [client.submit("probe.wait", queue, gate=str(gate) + "-late") for queue in QUEUES]
    for job_id in (*ended_meanwhile, *running_on):
        client.running(job_id)
    with _away(platform):
        gate.touch()
        for worker in fleet.values():
            worker.wait_for_log("ledger_away")
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > AWAY)
        assert [worker.container.status for worker in fleet.values()] == ["running"] * len(fleet)
    eventually(lambda: _reached(client))
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2 * LEASE)  # a rescue would have come by now
    Path(str(gate) + "-late").touch()
    jobs = [*ended_meanwhile, *running_on]
    client.all_ended(jobs)
    assert [client.outcomes(job_id) for job_id in jobs] == [["succeeded"]] * len(jobs)
    for worker in fleet.values():
        said = [
            worker.container.logs().count(words) for words in ("lease_without_ledger", "lease_with_ledger")
        ]
        assert said == [1, 1], "an outage is told once, and so is its end"


@contextmanager
def _away(platform: Platform) -> Iterator[None]:
    """The server ends all connections to the ledger and takes no new ones."""
    url = make_url(platform.settings.database_url or "")
    elsewhere = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)

    def administer(statement: str) -> None:
        with closing(psycopg2.connect(elsewhere)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    administer(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
    administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{url.database}'")  # noqa: S608
    try:
        yield
    finally:
        administer(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")


def _reached(client: Client) -> bool:
    try:
        return client.leases() is not None
    except SQLAlchemyError:
        return False
