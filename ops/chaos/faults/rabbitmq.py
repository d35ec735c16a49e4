"""What happens to RabbitMQ alone: queues are emptied or deleted, or the alarm of its memory is raised."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from amqp.exceptions import NotFound

from ops.chaos.carrier import Carrier
from ops.chaos.faults.fault import Harm, Lane, fault
from ops.chaos.rig import Rig
from worker.broker import connect
from worker.contract.queues import QUEUES

_HERE = (Carrier.RABBITMQ,)
_BROKER = Harm("broker")


@fault(Lane.BROKER, weight=3, carriers=_HERE)
def queues_purged(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Take every message that no worker holds out of all queues that are there."""
    for name in QUEUES:
        # One that was deleted a moment ago is made anew by whoever uses it next.
        with suppress(NotFound), _channel(rig) as channel:
            channel.queue_purge(name)
    yield _BROKER


@fault(Lane.BROKER, weight=2, carriers=_HERE)
def queue_deleted(rig: Rig, dice: Random) -> Iterator[Harm]:
    """Delete a queue from under its workers, with all its messages."""
    name = dice.choice(sorted(QUEUES))
    with _channel(rig) as channel:
        channel.queue_delete(name)
    yield Harm(name)


@fault(Lane.BROKER, lasts=(2.0, 6.0), weight=2, carriers=_HERE)
def broker_alarmed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """The alarm of the memory: RabbitMQ reads nothing more from whoever publishes."""
    rig.rabbitmq.alarm(raised=True)
    yield _BROKER
    rig.rabbitmq.alarm(raised=False)


@contextmanager
def _channel(rig: Rig) -> Iterator[Any]:
    with connect(rig.broker_url) as connection:
        yield connection.channel()
