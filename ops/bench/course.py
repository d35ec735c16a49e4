"""What a measurement is told: how often, how long, where, and to whom it speaks."""

from collections.abc import Callable
from pathlib import Path

import msgspec


class Invalid(Exception):  # noqa: N818 - reads as what happened
    """A round that does not count; the message says why."""


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What to measure, and how."""

    folder: Path  # for everything that it writes; the servers' account can pass through it
    peers: Path  # where the peers' virtual environments are, or will be
    say: Callable[[str], None]
    rounds: int = 3  # of each contender, in turns
    short: bool = False  # enough to see that it works; its figures mean nothing
    minutes: float | None = None  # for what goes on for long
    only: tuple[str, ...] = ()  # contenders; empty: all

    def scale(self, full: int, short: int) -> int:
        """How many of something to take."""
        return short if self.short else full

    def wanted(self, contender: str) -> bool:
        """Whether a contender takes part."""
        return not self.only or contender in self.only
