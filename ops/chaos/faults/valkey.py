"""What happens to Valkey alone: it forgets, pauses, or has no memory left."""

from collections.abc import Iterator
from random import Random

from ops.chaos.carrier import Carrier
from ops.chaos.faults.fault import Harm, Lane, fault
from ops.chaos.rig import Rig

_HERE = (Carrier.VALKEY,)
_BROKER = Harm("broker")
_HALF_A_MEGABYTE = 512 * 1024


@fault(Lane.BROKER, weight=3, carriers=_HERE)
def broker_flushed(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """FLUSHALL."""
    with rig.valkey() as valkey:
        valkey.flushall()
    yield _BROKER


@fault(Lane.BROKER, weight=2, carriers=_HERE)
def broker_paused(rig: Rig, dice: Random) -> Iterator[Harm]:
    """CLIENT PAUSE: for some seconds the broker takes commands and answers none."""
    with rig.valkey() as valkey:
        valkey.client_pause(dice.randint(1000, 4000))
        yield _BROKER
        valkey.ping()  # answered when it is over


@fault(Lane.BROKER, lasts=(2.0, 6.0), weight=2, carriers=_HERE)
def broker_full(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """No memory left: with `noeviction` every write is refused."""
    with rig.valkey() as valkey:
        valkey.config_set("maxmemory", _HALF_A_MEGABYTE)
    yield _BROKER
    with rig.valkey() as valkey:
        valkey.config_set("maxmemory", 0)
