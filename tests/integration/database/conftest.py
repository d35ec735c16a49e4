"""A warehouse: tables of its own in a real PostgreSQL, and the adapters that write into it."""

from collections.abc import Iterator

import pytest

from tests.integration.database.warehouse import Warehouse


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    """Fresh tables."""
    with Warehouse.at(database_url) as warehouse:
        warehouse.make()
        yield warehouse
        warehouse.clear()
