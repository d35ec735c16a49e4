"""What the tests of the ledger share."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from worker.ledger.engines import Ledger
from worker.ledger.tables import metadata
from worker.settings import Settings

TABLES = [table.name for table in reversed(metadata.sorted_tables)]


@pytest.fixture(scope="module")
def opened(database_url: str) -> Iterator[Ledger]:
    ledger = Ledger.open(Settings(database_url=database_url), "tests")
    yield ledger
    ledger.close()


@pytest.fixture
def connection(opened: Ledger) -> Iterator[Connection]:
    """A transaction that is never committed: what a test writes no other one sees, and time stands still."""
    with opened._write.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@pytest.fixture
def ledger(opened: Ledger) -> Iterator[Ledger]:
    """For tests with several transactions; what they wrote is deleted in the end."""
    yield opened
    with opened.write() as connection:
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of tables
