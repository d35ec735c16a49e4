"""The connections of a process as its metrics tell them."""

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from worker.connections import Connections
from worker.ledger.engines import Ledger
from worker.settings import Settings

Told = Callable[[], dict[str, float | None]]


@pytest.fixture
def ledger(database_url: str) -> Ledger:
    return Ledger.open(Settings(database_url=database_url, database_pool_size=2), "tests")


@pytest.fixture
def told(ledger: Ledger, database_url: str) -> Told:
    registry = CollectorRegistry()
    settings = Settings(database_url=database_url, database_pool_size=2, database_pool_overflow=1)
    Connections(registry).watch(ledger, settings)

    def look() -> dict[str, float | None]:
        return {
            name: registry.get_sample_value(f"jobyard_ledger_connections_{name}", {"pool": "write"})
            for name in ("open", "used", "max")
        }

    return look


def test_connections_are_counted_while_they_are_open_and_while_they_are_used(
    ledger: Ledger, told: Told
) -> None:
    assert told() == {"open": 0, "used": 0, "max": 3}
    with ledger.write(), ledger.write():
        assert told() == {"open": 2, "used": 2, "max": 3}
    assert told() == {"open": 2, "used": 0, "max": 3}
    ledger.close()
    assert told() == {"open": 0, "used": 0, "max": 3}


def test_a_connection_that_the_server_ended_is_counted_no_more(
    ledger: Ledger, told: Told, database_url: str
) -> None:
    with ledger.write() as connection:
        own = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    other = Ledger.open(Settings(database_url=database_url), "other")
    with other.write() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": own})
    other.close()
    with ledger.write() as connection:  # the gate sees that the first one is dead
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != own
        assert told() == {"open": 1, "used": 1, "max": 3}
    assert told() == {"open": 1, "used": 0, "max": 3}
    ledger.close()
