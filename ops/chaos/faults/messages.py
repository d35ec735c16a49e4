"""Messages are lost, doubled, or are none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from uuid import uuid4

import kombu

from ops.chaos.faults.fault import Harm, Lane, Missed, fault
from ops.chaos.rig import Rig
from worker.broker import connect
from worker.broker import queue as declaration
from worker.contract.queues import WORKERS

_QUEUES = tuple(queue.name for queues in WORKERS.values() for queue in queues)
_PATIENCE = 2.0  # seconds that a thief waits for a message


@fault(Lane.BROKER, weight=4)
def message_deleted(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Take one message away from before the workers."""
    with _thief(rig) as steal:
        queue = _queue_of(steal())
    yield Harm(queue)


@fault(Lane.BROKER, weight=3)
def messages_doubled(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Deliver some messages again and again, out of order."""
    with _thief(rig) as steal:
        stolen = [steal() for _ in range(3)]
    again = stolen * 3
    dice.shuffle(again)
    with _producer(rig) as producer:
        for message in again:
            _post_again(producer, message)
    yield Harm(f"{len(stolen)} messages")


@fault(Lane.BROKER, weight=3)
def garbage(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Publish messages of no job, of no kind, and what is no message."""
    queue = dice.choice(_QUEUES)
    usual = {"lang": "py", "task": "chaos.email", "id": str(uuid4()), "retries": 0}
    with _producer(rig) as producer:
        _post(producer, queue, usual)
        _post(producer, queue, usual | {"task": "chaos.of_tomorrow"})
        _post(producer, queue, usual | {"id": "no uuid"})
        _post(producer, queue, usual, b'{"a": "dict"}')
        _post(producer, queue, usual, b"\x00\xff no JSON")
        _post(producer, queue, usual, content_type="application/x-python-serialize")
    yield Harm(queue)


@contextmanager
def _producer(rig: Rig) -> Iterator[Any]:
    with connect(rig.broker_url) as connection:
        yield connection.Producer()


def _post(
    producer: Any,
    queue: str,
    headers: dict[str, Any],
    body: bytes = b"[[], {}, {}]",
    content_type: str = "application/json",
) -> None:
    producer.publish(
        body,
        exchange="",
        routing_key=queue,
        content_type=content_type,
        content_encoding="binary",
        correlation_id=str(uuid4()),
        headers=headers,
    )


def _post_again(producer: Any, message: Any) -> None:
    producer.publish(
        message.body,
        exchange="",
        routing_key=_queue_of(message),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        correlation_id=message.properties["correlation_id"],
        priority=message.properties.get("priority", 0),
        headers=message.headers,
    )


@contextmanager
def _thief(rig: Rig) -> Iterator[Callable[[], Any]]:
    """One more consumer of every queue: of those who wait, the broker serves one.

    It gives one message after the other, and raises `Missed` where none comes by.
    """
    caught: list[Any] = []
    queues = [declaration(name, rig.broker_url) for name in _QUEUES]
    with connect(rig.broker_url) as connection, connection.channel() as channel:
        consumer = kombu.Consumer(channel, queues, on_message=caught.append, prefetch_count=1)

        def steal() -> Any:
            while not caught:
                try:
                    connection.drain_events(timeout=_PATIENCE)
                except TimeoutError:
                    raise Missed("no message came by") from None
            message = caught.pop(0)
            message.ack()
            return message

        with consumer:
            yield steal


def _queue_of(message: Any) -> str:
    """The default exchange routes by the names of queues."""
    return str(message.delivery_info["routing_key"])
