"""The message of a job and the rules of each broker; on a real one in tests/integration/test_broker.py."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import kombu
import pytest
from amqp.exceptions import MessageNacked

from worker import broker
from worker.broker import Broker
from worker.contract.queues import ISOLATION, QUEUES
from worker.contract.states import Priority
from worker.ledger.ids import new_id
from worker.ledger.records import Message

REDIS = "redis://127.0.0.1:1/0"
RABBITMQ = "amqp://127.0.0.1:1//"


def message(**different: Any) -> Message:
    usual = {
        "job_id": new_id(),
        "kind": "sample.ask",
        "queue": "email",
        "priority": Priority.NORMAL,
        "description": "to",
        "request_id": None,
        "alone": False,
    }
    return Message(**{**usual, **different})


@pytest.fixture
def memory() -> Iterator[Broker]:
    """A broker inside this process."""
    opened = Broker("memory://")
    yield opened
    opened.close()


def take(queue: str) -> Any:
    """The next message of a queue of the broker inside this process."""
    with kombu.Connection("memory://") as connection:
        channel: Any = connection.channel()
        return channel.basic_get(queue, no_ack=True)


@pytest.mark.parametrize(
    ("url", "redis"),
    [
        ("redis://h", True),
        ("rediss://h", True),
        ("amqp://h", False),
        ("amqps://h", False),
        ("memory://", False),
    ],
)
def test_redis_is_told_by_its_url(url: str, *, redis: bool) -> None:
    assert broker.is_redis(url) is redis


def test_a_message_is_celerys_and_carries_no_payload(memory: Broker) -> None:
    sent = message(description="a description")
    memory.publish([sent])
    received = take("email")
    assert json.loads(received.body) == [[], {}, {}]
    assert (received.content_type, received.content_encoding) == ("application/json", "utf-8")
    assert received.properties["correlation_id"] == str(sent.job_id)
    assert received.headers["id"] == received.headers["root_id"] == str(sent.job_id)
    assert received.headers["task"] == "sample.ask"
    assert received.headers["argsrepr"] == "a description"
    assert (received.headers["eta"], received.headers["expires"]) == (None, None)


def test_a_job_that_must_run_alone_is_carried_apart(memory: Broker) -> None:
    memory.publish([message(alone=True), message(alone=False)])
    assert memory.depths(["email", ISOLATION.name]) == {"email": 1, ISOLATION.name: 1}
    take("email")
    take(ISOLATION.name)


def test_depths_count_what_waits(memory: Broker) -> None:
    memory.publish([message() for _ in range(3)])
    assert memory.depths(["email", "web"]) == {"email": 3, "web": 0}
    for _ in range(3):
        take("email")
    assert memory.depths(["email"]) == {"email": 0}


def test_a_queue_that_the_broker_does_not_know_is_empty(memory: Broker) -> None:
    assert memory.depths(["of_tomorrow"]) == {"of_tomorrow": 0}


def test_nothing_is_published_by_an_empty_batch(memory: Broker) -> None:
    memory.publish([])
    assert set(memory.depths(QUEUES).values()) == {0}


@pytest.mark.parametrize("url", [REDIS, RABBITMQ])
def test_every_priority_has_a_number_and_high_goes_first(url: str) -> None:
    numbers = Broker(url)._priorities
    ranked = sorted(Priority, key=lambda priority: numbers[priority], reverse=not broker.is_redis(url))
    assert ranked == [Priority.HIGH, Priority.NORMAL, Priority.LOW]
    assert len(set(numbers.values())) == 3


def test_redis_priorities_are_steps_that_kombu_knows() -> None:
    from kombu.transport.redis import PRIORITY_STEPS  # noqa: PLC0415 - the client is optional in kombu

    assert set(broker._REDIS_PRIORITIES.values()) <= set(PRIORITY_STEPS)


def test_quorum_queues_tell_high_from_the_rest() -> None:
    """They know two levels: up to 4, and above."""
    high = broker._AMQP_PRIORITIES[Priority.HIGH]
    assert high > 4 >= max(n for p, n in broker._AMQP_PRIORITIES.items() if p is not Priority.HIGH)


def test_on_rabbitmq_queues_are_replicated_and_drop_nothing_silently() -> None:
    arguments = broker.queue("email", RABBITMQ).queue_arguments or {}
    assert arguments["x-queue-type"] == "quorum"
    assert arguments["x-dead-letter-routing-key"] == broker.DROPPED
    assert [queue.name for queue in broker.queues(RABBITMQ)] == [*QUEUES, broker.DROPPED]
    assert [queue.name for queue in broker.queues(REDIS)] == [*QUEUES]


def test_rabbitmq_waits_longer_for_an_acknowledgement_than_any_queue_for_its_jobs() -> None:
    arguments = broker.queue("email", RABBITMQ).queue_arguments or {}
    patience = arguments["x-consumer-timeout"] / 1000
    for queue in QUEUES.values():
        assert patience > (queue.prefetch + 1) * queue.deadline


class Confirming:
    """A channel of RabbitMQ whose confirmations a test gives: `answers` are its words, in turn."""

    def __init__(self, answers: list[tuple[str, int, bool]]) -> None:
        self.events: Any = {"basic_ack": set(), "basic_nack": set()}
        self.connection = self
        self._answers = iter(answers)

    def confirm_select(self) -> None:
        pass

    def drain_events(self) -> None:
        said, tag, multiple = next(self._answers)
        for callback in self.events[said]:
            callback(tag, multiple)


@pytest.mark.parametrize(
    "answers",
    [
        [("basic_ack", 3, True)],
        [("basic_ack", 1, False), ("basic_ack", 2, False), ("basic_ack", 3, False)],
        [("basic_ack", 3, False), ("basic_ack", 2, True)],
    ],
)
def test_a_batch_is_published_when_every_message_is_confirmed(answers: list[tuple[str, int, bool]]) -> None:
    channel = Confirming([*answers, ("basic_ack", 4, False)])
    confirms = broker._Confirms(channel)
    with confirms.of(3):
        pass
    with confirms.of(1):  # of which the last answer speaks: nothing else was asked for before
        pass


def test_a_batch_of_which_a_message_was_refused_is_not_published() -> None:
    channel = Confirming([("basic_ack", 1, False), ("basic_nack", 2, False)])
    with pytest.raises(MessageNacked), broker._Confirms(channel).of(2):
        pass


def test_a_message_that_was_confirmed_while_others_were_published_is_not_waited_for() -> None:
    channel = Confirming([("basic_ack", 1, False), ("basic_ack", 2, False)])
    with broker._Confirms(channel).of(2):
        channel.drain_events()


def test_on_redis_no_retry_option_is_set_for_it_would_undo_batches() -> None:
    options = broker.transport_options(REDIS)
    assert not [name for name in options if "retry" in name]
    assert options["ack_emulation"] is False
    assert broker.queue("email", REDIS).queue_arguments is None


def test_nothing_is_connected_before_the_first_use() -> None:
    unreachable = Broker(REDIS)
    assert not broker.connect(REDIS).connected
    unreachable.close()


def test_a_message_of_a_job_names_it_by_its_id(memory: Broker) -> None:
    memory.publish([message(job_id=UUID(int=7))])
    assert take("email").headers["id"] == "00000000-0000-0000-0000-000000000007"
