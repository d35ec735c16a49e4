"""The broker dies, forgets, hangs, fills up, or cannot be reached."""

import signal
from collections.abc import Iterator
from random import Random

from ops.chaos.faults.fault import Harm, Lane, fault
from ops.chaos.rig import Rig

_BROKER = Harm("broker")
_HALF_A_MEGABYTE = 512 * 1024


@fault(Lane.BROKER, lasts=(0.5, 4.0), weight=3)
def broker_killed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL the broker, and start it again with its data."""
    rig.broker.strike(signal.SIGKILL)
    yield _BROKER
    rig.broker.start()


@fault(Lane.BROKER, lasts=(0.5, 4.0), weight=2)
def broker_replaced(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGKILL the broker, and start it again without its data."""
    rig.broker.strike(signal.SIGKILL)
    rig.broker.forget()
    yield _BROKER
    rig.broker.start()


@fault(Lane.BROKER, lasts=(11.0, 15.0))
def broker_away(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Cut every connection to the broker and refuse new ones, for longer than any patience."""
    rig.to_broker.cut()
    yield _BROKER
    rig.to_broker.restore()


@fault(Lane.BROKER, weight=2)
def broker_half_open(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Swallow what the open connections carry, for ever; new ones get through."""
    rig.to_broker.silence()
    yield _BROKER


@fault(Lane.BROKER, lasts=(3.0, 12.0))
def broker_hangs(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Swallow what every connection carries, new ones included."""
    rig.to_broker.swallow()
    yield _BROKER
    rig.to_broker.restore()


@fault(Lane.BROKER, weight=3)
def broker_flushed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """FLUSHALL."""
    with rig.valkey() as valkey:
        valkey.flushall()
    yield _BROKER


@fault(Lane.BROKER, weight=2)
def broker_paused(rig: Rig, dice: Random) -> Iterator[Harm]:
    """CLIENT PAUSE: for some seconds the broker takes commands and answers none."""
    with rig.valkey() as valkey:
        valkey.client_pause(dice.randint(1000, 4000))
        yield _BROKER
        valkey.ping()  # answered when it is over


@fault(Lane.BROKER, lasts=(2.0, 6.0), weight=2)
def broker_full(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """No memory left: with `noeviction` every write is refused."""
    with rig.valkey() as valkey:
        valkey.config_set("maxmemory", _HALF_A_MEGABYTE)
    yield _BROKER
    with rig.valkey() as valkey:
        valkey.config_set("maxmemory", 0)
