"""Waiting for what happens elsewhere: in another process, behind a socket."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02  # seconds between two looks


def eventually(look: Callable[[], T], seconds: float = 60.0) -> T:
    """What a look gives as soon as it is true; fails when that takes longer than `seconds`.

    The time for which the machine kept this process from waking up does not count.
    """
    give_up_at = time.monotonic() + seconds
    while not (seen := look()):
        asleep_at = time.monotonic()
        assert asleep_at < give_up_at, f"not within {seconds:g} s; seen at last: {seen!r}"
        time.sleep(_PAUSE)
        give_up_at += max(0.0, time.monotonic() - asleep_at - _PAUSE)
    return seen
