"""A RabbitMQ that loses its data: what it held is published again at once, and nothing when it only died."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import text

from schedules.dispatch import Dispatch
from schedules.metrics import Metrics
from tests.awaiting import eventually
from tests.integration.ledger.situations import enqueue
from tests.rabbitmq import RabbitMQ
from tests.unit.schedules.stand_ins import todo
from worker.broker import Broker, BrokerDown
from worker.ledger.engines import Ledger
from worker.ledger.tables import metadata
from worker.settings import Settings


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(Settings(database_url=database_url), "tests")
    yield opened
    with opened.write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(text(f"DELETE FROM {table.name}"))  # noqa: S608 - names of tables
    opened.close()


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    rabbitmq.empty()
    opened = Broker(rabbitmq.url)
    yield opened
    opened.close()


@pytest.fixture
def part(ledger: Ledger, broker: Broker) -> Dispatch:
    return Dispatch(ledger, broker, depth=10, metrics=Metrics())


def submit(ledger: Ledger, count: int) -> list[UUID]:
    with ledger.write() as connection:
        return [enqueue(connection) for _ in range(count)]


def dispatch(part: Dispatch) -> bool:
    """Whether a round went well."""
    try:
        part.run(todo(publishable=True))
    except BrokerDown:
        return False
    return True


def restart(rabbitmq: RabbitMQ, *, forgetting: bool) -> None:
    rabbitmq.await_saved()
    rabbitmq.process.kill()
    if forgetting:
        rabbitmq.forget()
    rabbitmq.process.start()
    rabbitmq.process.ready()


def taken(rabbitmq: RabbitMQ) -> list[UUID]:
    ids: list[UUID] = []
    with rabbitmq.channel() as channel:
        while got := channel.basic_get("web", no_ack=True):
            ids.append(UUID(got.headers["id"]))
    return ids


def test_a_node_without_its_data_gets_all_that_it_held_again_the_oldest_first(
    ledger: Ledger, rabbitmq: RabbitMQ, part: Dispatch
) -> None:
    ids = submit(ledger, 25)
    assert dispatch(part)
    restart(rabbitmq, forgetting=True)

    eventually(lambda: dispatch(part))

    assert taken(rabbitmq) == ids[:10]


def test_a_node_that_died_with_its_data_is_not_taken_for_one_that_lost_it(
    ledger: Ledger, rabbitmq: RabbitMQ, broker: Broker, part: Dispatch
) -> None:
    ids = submit(ledger, 5)
    assert dispatch(part)
    restart(rabbitmq, forgetting=False)

    eventually(lambda: dispatch(part))

    eventually(lambda: broker.depths(["web"]) == {"web": 5})
    assert taken(rabbitmq) == ids


def test_a_mark_is_there_until_it_is_taken_away(broker: Broker) -> None:
    assert not broker.holds("never left")
    broker.leave("ours")
    assert broker.holds("ours")
    broker.remove("ours")
    assert not broker.holds("ours")
    broker.remove("ours")
