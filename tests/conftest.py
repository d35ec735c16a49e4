"""What tests of every room may ask for: real servers, each with a fresh part of them for one test module."""

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import Servers


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `pytest --help` shows of ours."""
    parser.addoption(
        "--update-catalog", action="store_true", help="publish the catalog of kinds anew: tests/contract"
    )


@pytest.fixture(scope="session")
def embedded() -> Iterator[Servers]:
    """PostgreSQL and Valkey, started once and only where a test needs them."""
    with servers.running() as started:
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
