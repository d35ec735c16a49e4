"""Waiting for what happens elsewhere: in another process, behind a socket."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE = 0.02  # seconds between two looks


def eventually(look: Callable[[], T], seconds: float = 30.0) -> T:
    """What a look gives as soon as it is true; fails when that takes longer than `seconds`."""
    give_up_at = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up_at, f"not within {seconds:g} s; seen at last: {seen!r}"
        time.sleep(_PAUSE)
    return seen
