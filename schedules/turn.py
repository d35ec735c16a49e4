"""A schedule's turn: what becomes of its fire times where a job of an earlier firing may still live."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from worker.scheduling import Overlap

LIVES = "a job of an earlier firing had not ended (overlap: skip)"
REPLACED = "a later fire time came before it was fired (overlap: replace)"
CROWDED = "as many firings as `limit` allows waited already (overlap: queue)"
MISSED = "no beat was there in time (missed: skip)"


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, each in the order of its times."""

    fire: list[datetime] = []
    wait: list[datetime] = []
    skip: list[datetime] = []
    reason: str = ""  # for what is skipped
    replaces: bool = False  # jobs of earlier firings are cancelled for it


def turn(
    overlap: Overlap, due: Sequence[datetime], waiting: Sequence[datetime], limit: int, *, living: bool
) -> Turn:
    """Decide.

    Args:
        overlap: the schedule's policy.
        due: fire times that have come.
        waiting: earlier ones that wait.
        limit: how many may wait.
        living: whether a job of an earlier firing has not ended.
    """
    times = list(dict.fromkeys([*waiting, *due]))
    match overlap:
        case "allow":
            return Turn(fire=times)
        case "skip":
            fired = [] if living else times[:1]
            return Turn(fire=fired, skip=times[len(fired) :], reason=LIVES)
        case "replace":
            return Turn(fire=times[-1:], skip=times[:-1], reason=REPLACED, replaces=living and bool(times))
        case "queue":
            fired = [] if living else times[:1]
            rest = times[len(fired) :]
            return Turn(fire=fired, wait=rest[:limit], skip=rest[limit:], reason=CROWDED)
