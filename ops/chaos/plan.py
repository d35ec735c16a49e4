"""The plan of a run: which fault strikes when, drawn from a seed before anything happens."""

from collections.abc import Iterable, Iterator
from random import Random

import msgspec

from ops.chaos.faults import Fault, Lane

_FIRST = 8.0  # seconds of peace at the beginning

# Seconds between the end of one fault of a lane and the next, on the average: a process takes a second or
# two to come back, and what the servers carry should get a chance to flow between their faults.
_GAPS = {Lane.PROCESSES: 4.0, Lane.BROKER: 6.0, Lane.LEDGER: 8.0}


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One fault to come."""

    at: float  # seconds after the beginning; later where the one before it takes longer
    name: str
    lasts: float  # seconds between strike and mending
    pick: int  # a seed of its own, for what it must choose


Plan = dict[Lane, list[Planned]]


def draw(seed: int, seconds: float, faults: Iterable[Fault], pace: float = 1.0) -> Plan:
    """Draw a plan; the same arguments give the same plan.

    Args:
        seed: of the plan.
        seconds: by which every fault is mended.
        faults: to choose from.
        pace: above 1 the gaps between faults are shorter.
    """
    chosen = list(faults)
    lanes = sorted({fault.lane for fault in chosen})
    return {
        lane: list(
            _lane(seed, seconds, [fault for fault in chosen if fault.lane == lane], _GAPS[lane] / pace)
        )
        for lane in lanes
    }


def _lane(seed: int, seconds: float, faults: list[Fault], gap: float) -> Iterator[Planned]:
    dice = Random(f"plan {seed} {faults[0].lane}")  # noqa: S311 - to be replayed, not to be secret
    at = _FIRST + dice.uniform(0, gap)
    while fitting := [fault for fault in faults if at + fault.lasts[1] <= seconds]:
        fault = dice.choices(fitting, [fault.weight for fault in fitting])[0]
        lasts = round(dice.uniform(*fault.lasts), 2)
        yield Planned(at=round(at, 2), name=fault.name, lasts=lasts, pick=dice.getrandbits(32))
        at += lasts + dice.uniform(0.5, 1.5) * gap
