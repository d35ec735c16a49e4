"""The broker's side of the platform on a real RabbitMQ."""

import time
from collections.abc import Iterator
from typing import Any

import kombu
import pytest
from amqp.exceptions import PreconditionFailed
from sqlalchemy import make_url

from ops.chaos.proxy import Proxy
from ops.embedded.ports import free_ports
from tests.awaiting import eventually
from tests.rabbitmq import RabbitMQ
from tests.smoke.platform import through
from tests.stalls import stalls
from tests.unit.worker.test_broker import message
from worker.broker import DROPPED, Broker, BrokerDown
from worker.contract.states import Priority

WRONG = "not-the-password"
BOUND = 10.0  # seconds within which whatever is asked ends


@pytest.fixture
def broker(rabbitmq: RabbitMQ) -> Iterator[Broker]:
    rabbitmq.empty()
    opened = Broker(rabbitmq.url)
    yield opened
    opened.close()


@pytest.fixture
def channel(rabbitmq: RabbitMQ) -> Iterator[Any]:
    with rabbitmq.channel() as opened:
        yield opened


def taken(channel: Any, queue: str) -> list[str]:
    """The ids of a queue's messages in the order in which a worker gets them."""
    ids: list[str] = []
    while got := channel.basic_get(queue, no_ack=True):
        ids.append(got.headers["id"])
    return ids


def test_messages_arrive_in_the_order_of_their_priorities_as_far_as_rabbitmq_knows_them(
    broker: Broker, channel: Any, rabbitmq: RabbitMQ
) -> None:
    low, normal, high = (message(priority=priority) for priority in reversed(Priority))
    broker.publish([low, normal, high])
    published, ranked = (
        [str(m.job_id) for m in order] for order in ((low, normal, high), (high, low, normal))
    )
    assert taken(channel, "email") == (ranked if rabbitmq.version >= (4,) else published)


def test_messages_outlive_the_node(rabbitmq: RabbitMQ, broker: Broker) -> None:
    broker.publish([message() for _ in range(100)])
    rabbitmq.process.kill()
    rabbitmq.process.start()
    rabbitmq.process.ready()
    with pytest.raises(BrokerDown):
        broker.depths(["email"])
    _until_depth(broker, "email", 100)


def test_a_queue_that_rabbitmq_does_not_know_is_empty(broker: Broker) -> None:
    """RabbitMQ answers with closing the channel."""
    broker.publish([message()])
    assert broker.depths(["of_tomorrow", "email"]) == {"of_tomorrow": 0, "email": 1}
    broker.publish([message()])
    assert broker.depths(["email"]) == {"email": 2}


def test_what_has_no_queue_did_not_arrive_and_the_queue_is_declared_again(
    broker: Broker, channel: Any
) -> None:
    broker.publish([message()])
    channel.queue_delete("email")
    with pytest.raises(BrokerDown):
        broker.publish([message()])
    broker.publish([message()])
    assert broker.depths(["email"]) == {"email": 1}


def test_what_rabbitmq_refuses_did_not_arrive(broker: Broker, channel: Any) -> None:
    limits = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
    kombu.Queue("narrow", queue_arguments=limits, exchange=kombu.Exchange(""))(channel).declare()
    # The limit is soft: some more fit in.
    assert eventually(lambda: _refused(broker, "narrow")) == "MessageNacked"
    channel.queue_delete("narrow")


def test_a_message_that_came_back_too_often_is_put_aside(broker: Broker, channel: Any) -> None:
    sent = message()
    broker.publish([sent])
    for _ in range(21):
        got = eventually(lambda: channel.basic_get("email"))
        channel.basic_reject(got.delivery_tag, requeue=True)
    _until_depth(broker, DROPPED, 1)
    aside = channel.basic_get(DROPPED, no_ack=True)
    assert aside.headers["id"] == str(sent.job_id)
    assert aside.headers["x-death"][0]["reason"] == "delivery_limit"
    assert broker.depths(["email"]) == {"email": 0}


def test_what_is_put_aside_is_bounded(broker: Broker) -> None:
    broker.publish([message(queue=DROPPED) for _ in range(1100)])
    assert broker.depths([DROPPED]) == {DROPPED: 1000}


def test_a_queue_declared_otherwise_is_an_outage_and_not_a_guess(broker: Broker, channel: Any) -> None:
    broker.close()
    channel.queue_delete("email")
    kombu.Queue("email", exchange=kombu.Exchange(""))(channel).declare()
    with pytest.raises(BrokerDown, match=PreconditionFailed.__name__):
        broker.publish([message()])
    channel.queue_delete("email")


def test_a_broker_that_is_not_there_is_down() -> None:
    nobody = Broker(f"amqp://127.0.0.1:{free_ports(1)[0]}//")
    with pytest.raises(BrokerDown):
        nobody.publish([message()])
    with pytest.raises(BrokerDown):
        nobody.depths(["email"])
    nobody.close()


def test_of_several_servers_one_that_is_there_is_taken(rabbitmq: RabbitMQ) -> None:
    rabbitmq.empty()
    broker = Broker(f"amqp://127.0.0.1:{free_ports(1)[0]}//;{rabbitmq.url}")
    broker.publish([message()])
    assert broker.depths(["email"]) == {"email": 1}
    broker.close()


def test_a_wrong_password_is_an_outage_that_says_no_password(rabbitmq: RabbitMQ) -> None:
    wrong = Broker(make_url(rabbitmq.url).set(password=WRONG).render_as_string(hide_password=False))
    with pytest.raises(BrokerDown) as caught:
        wrong.publish([message()])
    assert "not-the-password" not in str(caught.value)
    wrong.close()


def test_a_broker_that_fell_silent_is_down_before_long(rabbitmq: RabbitMQ) -> None:
    """No connection is closed: nobody is told that the other side is gone."""
    rabbitmq.empty()
    with Proxy(rabbitmq.port) as proxy:
        broker = Broker(through(rabbitmq.url, proxy.port))
        for use in (lambda: broker.publish([message()]), lambda: broker.depths(["email"])):
            broker.publish([message()])
            proxy.silence()
            assert _seconds(lambda: _fails(use)) < BOUND  # noqa: B023 - called in this round
        broker.publish([message()])
        assert broker.depths(["email"])["email"] >= 3
        broker.close()


def test_a_broker_short_of_memory_refuses_at_once_until_it_has_some(
    broker: Broker, rabbitmq: RabbitMQ
) -> None:
    broker.publish([message()])
    rabbitmq.alarm(raised=True)
    try:
        for _ in range(2):  # on the connection that there is, and on one that is opened meanwhile
            with stalls() as machine:
                begun = time.monotonic()
                assert _fails(lambda: broker.publish([message()])) == "BrokerBlocked"
                seconds = time.monotonic() - begun
            assert seconds < 1.0 + machine.total
        assert broker.depths(["email"])["email"] >= 1
    finally:
        rabbitmq.alarm(raised=False)
    broker.publish([message()])
    broker.close()


def _refused(broker: Broker, queue: str) -> str:
    """Why messages of a queue were not published; nothing where they were."""
    try:
        broker.publish([message(queue=queue) for _ in range(5)])
    except BrokerDown as error:
        return str(error)
    return ""


def _fails(use: Any) -> str:
    with pytest.raises(BrokerDown) as caught:
        use()
    return str(caught.value)


def _seconds(use: Any) -> float:
    begun = time.monotonic()
    use()
    return time.monotonic() - begun


def _until_depth(broker: Broker, queue: str, depth: int) -> None:
    eventually(lambda: broker.depths([queue]) == {queue: depth})
