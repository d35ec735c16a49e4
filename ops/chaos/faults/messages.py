"""Messages are lost, doubled, or are none."""

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import uuid4

import kombu
import redis

from ops.chaos.faults.fault import Harm, Lane, Missed, fault
from ops.chaos.rig import Rig
from worker.contract.queues import WORKERS

_QUEUES = tuple(queue.name for queues in WORKERS.values() for queue in queues)
_PATIENCE = 2.0  # seconds that a thief waits for a message

# Valkey's keys of a queue: one for each step of priority (kombu.transport.redis).
_STEPS = ("", "\x06\x163", "\x06\x166", "\x06\x169")
_KEYS = tuple(queue + step for queue in _QUEUES for step in _STEPS)


@fault(Lane.BROKER, weight=4)
def message_deleted(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Take one message away from before the workers."""
    with rig.valkey() as valkey:
        key, _ = _steal(valkey)
    yield Harm(key)


@fault(Lane.BROKER, weight=3)
def messages_doubled(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Deliver some messages again and again, out of order."""
    with rig.valkey() as valkey:
        stolen = [_steal(valkey) for _ in range(3)]
        again = stolen * 3
        dice.shuffle(again)
        for key, body in again:
            valkey.rpush(key, body)
    yield Harm(f"{len(stolen)} messages")


@fault(Lane.BROKER, weight=3)
def garbage(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Publish messages of no job, of no kind, and what is no message."""
    queue = dice.choice(_QUEUES)
    usual = {"lang": "py", "task": "chaos.email", "id": str(uuid4()), "retries": 0}
    with kombu.Connection(rig.broker_url) as connection:
        producer = connection.Producer()
        _post(producer, queue, usual)
        _post(producer, queue, usual | {"task": "chaos.of_tomorrow"})
        _post(producer, queue, usual | {"id": "no uuid"})
        _post(producer, queue, usual, b'{"a": "dict"}')
        _post(producer, queue, usual, b"\x00\xff no JSON")
        _post(producer, queue, usual, content_type="application/x-python-serialize")
    yield Harm(queue)


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


def _steal(valkey: "redis.Redis") -> tuple[str, bytes]:
    """Wait for a message as a worker does; of those who wait, the broker serves one."""
    found: Any = valkey.blpop(_KEYS, timeout=_PATIENCE)
    if found is None:
        raise Missed("no message came by")
    return found[0].decode(), found[1]
