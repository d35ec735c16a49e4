"""What tests of every room may ask for: real servers, each with a fresh part of them for one test module."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.chaos.rabbitmq import MISSING, installed
from tests import rabbitmq as rabbitmqs
from tests import servers
from tests.rabbitmq import RabbitMQ
from tests.servers import Servers


def pytest_configure() -> None:
    """Heed what a run in the background ignores, or the commands that it starts would ignore it too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `pytest --help` shows of ours."""
    parser.addoption(
        "--update-catalog", action="store_true", help="publish the catalog of kinds anew: tests/contract"
    )
    parser.addoption("--pictures", action="store_true", help="make the README's pictures anew: tests/browser")
    parser.addoption(
        "--examples",
        type=int,
        default=50,
        help="how much is tried at random: requests for each operation of the API, malformed ones in tens",
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One more than processors, for most tests wait for processes; what is slow keeps its own busy."""
    return None if config.option.markexpr == "slow" else (os.cpu_count() or 1) + 1


# Left out of `./ops/test`, for they take as long as all the rest; `.ci/run` runs them before it.
SLOW = (
    "browser/",
    "faults/",
    "integration/api/test_description.py",
    "integration/api/test_restarts.py",
    "integration/mail_sink/test_ending.py",
    "integration/ops/test_bench.py",
    "integration/ops/test_dashboards.py",
    "integration/ops/test_waiting.py",
    "integration/rabbitmq/",
    "smoke/rabbitmq/",
    "smoke/test_bundles.py",
    "smoke/test_clocks.py",
    "smoke/test_deadlines.py",
    "smoke/test_ledger_outage.py",
    "smoke/test_losses.py",
    "smoke/test_many.py",
    "smoke/test_outages.py",
    "smoke/test_stopping.py",
    "smoke/test_watchdog.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow."""
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def examples(request: pytest.FixtureRequest) -> int:
    """How much a test tries at random."""
    wanted: int = request.config.getoption("--examples")
    return wanted


@pytest.fixture(scope="session")
def embedded() -> Iterator[Servers]:
    """PostgreSQL and Valkey, started once and only where a test needs them."""
    with servers.running() as started:
        yield started


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """RabbitMQ, where it is installed: one node, whose queues the tests share."""
    if not installed():
        pytest.skip(MISSING)
    with rabbitmqs.running() as started:
        yield started


@pytest.fixture(scope="module")
def database_url(embedded: Servers) -> Iterator[str]:
    """A migrated ledger that no other test module sees."""
    with embedded.database() as url:
        yield url


@pytest.fixture(scope="module")
def broker_url(embedded: Servers) -> Iterator[str]:
    """An empty broker that no other test module sees."""
    with embedded.broker() as url:
        yield url
