"""The API over a real ledger, without a server around it."""

from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import click.testing
import pytest
from falcon.testing import TestClient
from prometheus_client import CollectorRegistry

from api.app import Deps, create_app
from api.metrics import Metrics
from api.waiting import Waiters
from ops.cli import main
from ops.embedded.ports import free_ports
from schedules.followups import FollowUps
from schedules.metrics import Metrics as BeatMetrics
from tests.integration.api.fakes import Caller, FakePublisher, FakeWorker
from tests.integration.api.server import Server, serving
from tests.unit.api.kinds import CATALOG
from worker.contract import Rights, Scopes
from worker.enqueue import Enqueuer
from worker.ledger import agenda, batches, clients, jobs, transitions
from worker.ledger.engines import Ledger
from worker.notices import Notices
from worker.settings import Settings
from worker.storage import Storage

NewCaller = Callable[..., Caller]
Settle = Callable[[], None]
Command = Callable[..., click.testing.Result]

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def settings(database_url: str) -> Settings:
    return Settings(
        database_url=database_url,
        api_max_body=20_000,
        api_max_artifact=300_000,
        api_max_batch=1_000_000,
        api_max_wait=30.0,
    )


@pytest.fixture(scope="module")
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings, "test")
    yield ledger
    ledger.close()


# ── the same as a process of its own ──────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def served(database_url: str, broker_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """For modules whose `settings` are those of a server: of one process, on ports of its own."""
    port, metrics_port = free_ports(2)
    return Settings(
        home=str(tmp_path_factory.mktemp("home")),
        database_url=database_url,
        broker_url=broker_url,
        api_port=port,
        api_metrics_port=metrics_port,
        api_workers=1,
    )


@pytest.fixture(scope="module")
def server(settings: Settings) -> Iterator[Server]:
    with serving(settings) as server:
        yield server


@pytest.fixture(scope="module")
def key(ledger: Ledger) -> str:
    """Of a client of the server."""
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "server")
        return clients.add_key(connection, client.id, "test")[1]


@pytest.fixture(scope="module")
def operator_key(ledger: Ledger) -> str:
    """Of a client of the server that operates it."""
    with ledger.write() as connection:
        client = clients.ensure_client(connection, "ada")
        return clients.add_key(connection, client.id, "test", scopes=Scopes.of(["operate"]))[1]


@pytest.fixture
def command(server: Server, operator_key: str, tmp_path: Path) -> Command:
    """The command of whoever has that key, on the server's API."""

    def run(*words: str, key: str = operator_key, said: str | None = None) -> click.testing.Result:
        env = {
            "JOBYARD_HOME": str(tmp_path),
            "JOBYARD_API_URL": f"http://127.0.0.1:{server.port}",
            "JOBYARD_API_KEY": key,
        }
        return click.testing.CliRunner().invoke(main, words, env=env, input=said)

    return run


# ── without one ───────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
def waiters(ledger: Ledger) -> Iterator[Waiters]:
    def ended(job_ids: Collection[UUID]) -> Collection[UUID]:
        with ledger.write() as connection:
            return jobs.ended_among(connection, job_ids) | batches.ended_among(connection, job_ids)

    waiters = Waiters(ended, interval=0.02)
    waiters.start()
    yield waiters
    waiters.close()


@pytest.fixture
def deps(
    settings: Settings, ledger: Ledger, tmp_path: Path, publisher: FakePublisher, waiters: Waiters
) -> Deps:
    return Deps(
        settings=settings,
        catalog=CATALOG,
        ledger=ledger,
        storage=Storage(tmp_path),
        publisher=publisher,
        waiters=waiters,
        metrics=Metrics(CollectorRegistry()),
    )


@pytest.fixture
def http(deps: Deps) -> TestClient:
    return TestClient(create_app(deps))


@pytest.fixture
def new_caller(http: TestClient, ledger: Ledger) -> NewCaller:
    def make(rights: Rights | None = None, of: Caller | None = None, scopes: Scopes | None = None) -> Caller:
        """A client of its own, or another key of a client that there is."""
        with ledger.write() as connection:
            client = of.client if of else clients.add_client(connection, f"client-{next(_NUMBERS)}")
            assert client is not None
            _, key = clients.add_key(connection, client.id, "test", rights=rights, scopes=scopes)
        return Caller(http, client, key)

    return make


@pytest.fixture
def caller(new_caller: NewCaller) -> Caller:
    return new_caller()


@pytest.fixture
def worker(ledger: Ledger) -> FakeWorker:
    return FakeWorker(ledger)


@pytest.fixture
def tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


@pytest.fixture
def settle(ledger: Ledger, deps: Deps) -> Settle:
    """What a beat does about jobs that ended."""
    follow_ups = FollowUps(ledger, Enqueuer(deps.catalog), BeatMetrics(), Notices("amqp://127.0.0.1:1//"))

    def run() -> None:
        with ledger.write() as connection:
            todo = agenda.read(connection)
        while follow_ups.run(todo):
            pass
        with ledger.write() as connection:
            transitions.make_due(connection, 1000)

    return run
