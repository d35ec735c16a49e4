"""What clients of a chaos run wish for: jobs, each with the ends that are right. A seed replays it."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec

_THREADS = ("email", "web", "webhook")
_PREFORK = ("report", "database")
_SHORT = {True: "short", False: "brief"}  # by whether it runs among threads: what travels in bundles
_NEXT_CENTURY = "2100-01-01T00:00:00Z"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One job to submit."""

    key: str = ""  # its Idempotency-Key
    kind: str
    payload: dict[str, Any] = {}
    options: dict[str, Any] = {}
    expected: tuple[str, ...] = ("succeeded",)
    errors: tuple[str, ...] = ()  # types of the errors with which it may end failed
    cancel_after: float | None = None  # seconds after it was accepted
    deadly: bool = False
    keyed: bool = False


def _short(dice: Random) -> Wish:
    return Wish(kind=_any(dice))


def _brief(dice: Random) -> Wish:
    return Wish(kind=_any(dice), payload={"seconds": round(dice.uniform(0.05, 0.4), 3)})


def _long(dice: Random) -> Wish:
    threads = dice.random() < 0.8  # noqa: PLR2004 - two processes a queue are soon taken
    return Wish(kind=_of(dice, threads=threads), payload={"seconds": round(dice.uniform(1, 4), 3)})


def _lasting(dice: Random) -> Wish:
    """Longer than a lease, shorter than its deadline: still under way when it is taken from its worker."""
    threads = dice.random() < 0.8  # noqa: PLR2004 - as above
    return Wish(kind=_of(dice, threads=threads), payload={"seconds": round(dice.uniform(9, 13), 3)})


def _retrying(dice: Random) -> Wish:
    return Wish(kind=_any(dice), payload={"failures": dice.randint(1, 2)})


def _failing(dice: Random) -> Wish:
    return Wish(kind=_any(dice), payload={"ending": "fatal"}, expected=("failed",), errors=("Fatal",))


def _cancelled(dice: Random) -> Wish:
    threads = dice.random() < 0.7  # noqa: PLR2004 - as above
    return Wish(
        kind=_of(dice, threads=threads),
        payload={"seconds": round(dice.uniform(2, 5), 3)},
        expected=("cancelled", "succeeded"),  # it may come to its end first
        cancel_after=dice.uniform(0, 1.5),
    )


def _far_future(dice: Random) -> Wish:
    return Wish(kind=_any(dice), options={"scheduled_at": _NEXT_CENTURY}, expected=("scheduled",))


def _keyed(dice: Random) -> Wish:
    # Much may happen between the effect and the outcome.
    payload = {"seconds": dice.choice((0.0, 0.0, 0.3, 1.5)), "failures": dice.choice((0, 0, 0, 1))}
    return Wish(kind="chaos.keyed", payload=payload, keyed=True)


def _out_of_memory(dice: Random) -> Wish:
    return Wish(kind=_any(dice), payload={"ending": "memory"}, expected=("failed",), errors=("MemoryError",))


def _killer(dice: Random, *, threads: bool = False) -> Wish:
    ending = dice.choice(("exit", "crash"))
    kind = _of(dice, threads=threads, short=True)
    return Wish(kind=kind, payload={"ending": ending}, expected=("failed",), errors=("Lost",), deadly=True)


def _killer_among_others(dice: Random) -> Wish:
    return _killer(dice, threads=True)


def _endless(dice: Random) -> Wish:
    return Wish(
        kind=_of(dice, threads=False),
        payload={"seconds": 600, "deaf": True},
        options={"max_attempts": 1},
        expected=("failed",),
        errors=("DeadlineExceeded",),  # it spends its attempts, and is no killer
        deadly=True,
    )


# How often each comes, of 10,000.
SHAPES: dict[Callable[[Random], Wish], int] = {
    _short: 5800,
    _brief: 1200,
    _long: 800,
    _lasting: 100,
    _retrying: 800,
    _failing: 300,
    _cancelled: 200,
    _far_future: 200,
    _keyed: 500,
    _out_of_memory: 60,
    _killer: 30,
    _killer_among_others: 3,
    _endless: 5,
}


def wishes(seed: int, journal: str) -> Iterator[Wish]:
    """Wishes without end, the same for the same seed.

    Args:
        seed: of the mix.
        journal: the file to which their runs are noted.
    """
    dice = Random(f"mix {seed}")  # noqa: S311 - to be replayed, not to be secret
    shapes, weights = list(SHAPES), list(SHAPES.values())
    number = 0
    while True:
        wish = dice.choices(shapes, weights)[0](dice)
        key = f"chaos-{seed}-{number}"
        own = {"journal": journal} | ({"key": key} if wish.keyed else {})
        yield msgspec.structs.replace(wish, key=key, payload=wish.payload | own)
        number += 1


def _any(dice: Random) -> str:
    threads = dice.random() < 0.8  # noqa: PLR2004 - three of five queues, and more slots
    return _of(dice, threads=threads, short=True)


def _of(dice: Random, *, threads: bool, short: bool = False) -> str:
    names = _THREADS if threads else _PREFORK
    return f"chaos.{dice.choice((*names, _SHORT[threads]) if short else names)}"
