"""The broker's side of the platform on a real Valkey."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from ops.embedded.ports import free_ports
from tests.unit.worker.test_broker import message
from worker.broker import Broker, BrokerDown, connect
from worker.contract.states import Priority


@pytest.fixture
def broker(broker_url: str) -> Iterator[Broker]:
    opened = Broker(broker_url)
    yield opened
    opened.close()
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()


def taken(broker_url: str, queue: str) -> list[str]:
    """The ids of a queue's messages in the order in which a worker gets them."""
    ids: list[str] = []
    with connect(broker_url) as connection:
        channel: Any = connection.channel()
        while got := channel.basic_get(queue, no_ack=True):
            ids.append(got.headers["id"])
    return ids


def test_messages_arrive_in_the_order_of_their_priorities(broker: Broker, broker_url: str) -> None:
    low, high, normal, high_too = (
        message(priority=priority)
        for priority in (Priority.LOW, Priority.HIGH, Priority.NORMAL, Priority.HIGH)
    )
    broker.publish([low, high, normal, high_too])
    assert taken(broker_url, "email") == [str(m.job_id) for m in (high, high_too, normal, low)]


def test_depths_count_every_priority(broker: Broker) -> None:
    broker.publish([message(priority=priority) for priority in Priority])
    broker.publish([message(queue="web") for _ in range(1000)])
    assert broker.depths(["email", "web", "report"]) == {"email": 3, "web": 1000, "report": 0}


def test_a_mark_is_there_until_the_broker_forgets(broker: Broker, broker_url: str) -> None:
    assert not broker.holds("ours")
    broker.leave("ours")
    assert broker.holds("ours")
    assert not broker.holds("another's")
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
    assert not broker.holds("ours")


def test_a_broker_that_is_not_there_is_down() -> None:
    nobody = Broker(f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    with pytest.raises(BrokerDown):
        nobody.publish([message()])
    with pytest.raises(BrokerDown):
        nobody.holds("ours")
    with pytest.raises(BrokerDown):
        nobody.leave("ours")
    with pytest.raises(BrokerDown):
        nobody.depths(["email"])
    nobody.close()


def test_it_works_again_after_its_connection_was_lost(broker: Broker, broker_url: str) -> None:
    broker.publish([message()])
    with redis.Redis.from_url(broker_url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    for _ in range(2):  # the first may find the connection dead
        try:
            broker.publish([message()])
        except BrokerDown:
            continue
    assert broker.depths(["email"])["email"] >= 2


def test_a_wrong_password_is_an_outage_that_says_no_password(broker_url: str) -> None:
    wrong = Broker(broker_url.replace(":", ":not-the-", 2).replace("not-the-", "", 1))
    with pytest.raises(BrokerDown) as caught:
        wrong.publish([message()])
    assert "not-the-" not in str(caught.value)
    wrong.close()


def test_a_full_broker_is_down_until_it_has_room(broker: Broker, broker_url: str) -> None:
    with redis.Redis.from_url(broker_url) as client:
        client.config_set("maxmemory", 1)
        try:
            with pytest.raises(BrokerDown):
                broker.publish([message(), message()])
        finally:
            client.config_set("maxmemory", 0)
    broker.publish([message()])
    assert broker.depths(["email"]) == {"email": 1}
