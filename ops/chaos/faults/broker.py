"""The broker dies, forgets, hangs, or cannot be reached, whichever it is."""

import signal
from collections.abc import Iterator
from random import Random

import psutil

from ops.chaos.crew import send
from ops.chaos.faults.fault import Harm, Lane, fault
from ops.chaos.rig import Rig

_BROKER = Harm("broker")


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


@fault(Lane.BROKER, lasts=(3.0, 12.0))
def broker_frozen(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """SIGSTOP the broker, then SIGCONT: the kernel still takes connections and what they carry."""
    main = psutil.Process(rig.broker.pid)
    send([main], signal.SIGSTOP)
    yield _BROKER
    send([main], signal.SIGCONT)


@fault(Lane.BROKER, weight=2)
def broker_connections_cut(rig: Rig, _dice: Random) -> Iterator[Harm]:
    """Cut every connection to the broker; new ones get through at once."""
    rig.to_broker.cut()
    rig.to_broker.restore()
    yield _BROKER
