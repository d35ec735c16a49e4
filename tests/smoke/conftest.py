"""One platform for the session, with one worker of each pool that the tests share.

A test that stops or harms a worker starts its own. The fixtures named `celery_*` are pytest-celery's.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pytest_celery import CeleryBrokerCluster, CeleryWorkerCluster  # type: ignore[import-untyped]  # it has none

from tests.servers import Servers
from tests.smoke import platform as platforms
from tests.smoke.client import Client
from tests.smoke.platform import QUEUE_OF, Platform
from tests.smoke.process import WorkerNode
from worker.contract.queues import POOLS, Pool

LAST_WORKERS = 3
LAST_WORDS = 3000  # characters

Fleet = dict[Pool, WorkerNode]
StartWorker = Callable[..., WorkerNode]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the last words of the workers with a failure."""
    report = yield
    platform: Platform | None = getattr(item, "funcargs", {}).get("platform")
    if report.failed and platform is not None:
        shared, own = platform.workers[: len(POOLS)], platform.workers[len(POOLS) :]
        for worker in (*shared, *own[-LAST_WORKERS:]):
            report.sections.append((worker.name(), worker.logs()[-LAST_WORDS:]))
    return report


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the servers' account can pass through."""
    with tempfile.TemporaryDirectory(prefix="jobyard-smoke-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="session")
def platform(embedded: Servers, folder: Path) -> Iterator[Platform]:
    with embedded.database() as database_url, platforms.running(database_url, folder, lease=3.0) as started:
        yield started


@pytest.fixture(scope="session")
def fleet(platform: Platform) -> Iterator[Fleet]:
    """A worker of each pool, started side by side. The prefork one also runs what must be alone."""
    queues = {**QUEUE_OF, "prefork": f"{QUEUE_OF['prefork']},isolation"}
    with ExitStack() as stack:
        workers = {pool: stack.enter_context(platform.worker(pool, queues[pool])) for pool in POOLS}
        for worker in workers.values():
            worker.ready()
        yield workers


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> Pool:
    """Each pool in turn: Celery has other code for each."""
    name: Pool = request.param
    return name


@pytest.fixture
def queue(pool: Pool, fleet: Fleet) -> str:
    """The queue of the shared worker of that pool."""
    assert fleet[pool].container.status == "running", fleet[pool].logs()
    return QUEUE_OF[pool]


@pytest.fixture
def client(platform: Platform) -> Client:
    return platform.client


@pytest.fixture
def gate(platform: Platform) -> Iterator[Path]:
    """A closed gate for a probe; opened in the end, so that nothing waits on."""
    path = platform.gate()
    yield path
    path.touch()


@pytest.fixture
def start_worker(platform: Platform) -> Iterator[StartWorker]:
    """Start a worker of one's own, on a queue that no shared worker consumes; it is ready."""
    with ExitStack() as stack:

        def start(pool: Pool, queue: str = "database", **options: Any) -> WorkerNode:
            worker = stack.enter_context(platform.worker(pool, queue, **options))
            worker.ready()
            return worker

        yield start


@pytest.fixture
def celery_backend_cluster() -> None:
    """None: results are in the ledger."""


@pytest.fixture
def celery_broker_cluster(platform: Platform) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(platform.broker)


@pytest.fixture
def celery_worker_cluster(fleet: Fleet) -> CeleryWorkerCluster:
    return CeleryWorkerCluster(*fleet.values())
