"""What the tests of schedules share."""

from collections.abc import Iterator

import pytest
import redis
from sqlalchemy import text

from schedules.metrics import Metrics
from worker.broker import Broker
from worker.ledger.engines import Ledger
from worker.ledger.tables import metadata
from worker.settings import Settings

TABLES = [table.name for table in reversed(metadata.sorted_tables)]


@pytest.fixture
def settings(database_url: str, broker_url: str) -> Settings:
    return Settings(database_url=database_url, broker_url=broker_url)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """What a test wrote is deleted in the end."""
    ledger = Ledger.open(settings, "tests")
    yield ledger
    with ledger.write() as connection:
        for table in TABLES:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of tables
    ledger.close()


@pytest.fixture
def redis_client(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
        yield client


@pytest.fixture
def broker(broker_url: str, redis_client: redis.Redis) -> Iterator[Broker]:
    """A broker that holds nothing yet."""
    assert not redis_client.dbsize()
    broker = Broker(broker_url)
    yield broker
    broker.close()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()
