"""What the tour shows is a row of scenes; each says what was to happen, and what did."""

import time
from collections.abc import Callable

import msgspec

WAIT = 60.0  # seconds that a job of the tour gets


class Scene(msgspec.Struct, frozen=True):
    """One thing that the tour showed."""

    title: str
    expected: str
    found: str
    good: bool


def until(condition: Callable[[], bool]) -> bool:
    """Whether it comes true while a scene has time."""
    give_up_at = time.monotonic() + WAIT
    while not condition():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True
