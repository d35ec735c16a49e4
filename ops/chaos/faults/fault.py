"""What a fault is."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from ops.chaos.carrier import Carrier
from ops.chaos.rig import Rig


class Lane(StrEnum):
    """What a fault strikes; the faults of one lane come one after the other, the lanes beside each other."""

    PROCESSES = "processes"
    BROKER = "broker"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Harm:
    """What a strike did."""

    target: str
    stopped: tuple[int, ...] = ()  # processes that do nothing until it is mended
    cut_off: tuple[int, ...] = ()  # processes that work on, and cannot learn what the ledger has of it
    unrenewed: tuple[int, ...] = ()  # processes that work on and can learn it; nobody renews their lease
    killed: tuple[int, ...] = ()  # processes that it ended
    asked: tuple[int, ...] = ()  # processes that it asked to leave


class Missed(Exception):  # noqa: N818 - a condition: there was nothing to strike at the moment
    """Nothing was struck."""


@dataclass(frozen=True)
class Fault:
    """One way to break the platform."""

    name: str
    does: str
    lane: Lane
    lasts: tuple[float, float]  # seconds between strike and mending, at least and at most
    weight: int  # how often it comes in a mix, compared with the others of its lane
    carriers: frozenset[Carrier]  # the brokers on which it can happen
    strike: Callable[[Rig, Random], AbstractContextManager[Harm]]


Strike = Callable[[Rig, Random], Iterator[Harm]]


def fault(
    lane: Lane,
    *,
    lasts: tuple[float, float] = (0.0, 0.0),
    weight: int = 1,
    carriers: Iterable[Carrier] = Carrier,
) -> Callable[[Strike], Fault]:
    """Make a fault of a generator; its name is the function's, and its docstring says what it does.

    The generator strikes before its only `yield` and mends after it; it draws what it must choose from the
    random numbers that it is given, and raises `Missed` where there is nothing to strike.
    """

    def make(strike: Strike) -> Fault:
        name = strike.__name__.replace("_", "-")
        does = strike.__doc__ or ""
        return Fault(name, does, lane, lasts, weight, frozenset(carriers), contextmanager(strike))

    return make
