"""Goals: what a figure has to reach, and whether it did.

A condition is judged by what was measured side by side: ratios are the medians of the ratios of rounds with
the same number, so that a machine that slows down slows both.
"""

import operator
from collections.abc import Callable, Sequence

import msgspec

from ops.bench.figures import Figure, Figures, shown

_Compare = Callable[[float, float], bool]


class Judged(msgspec.Struct, frozen=True):
    """A condition, once looked at."""

    met: bool | None  # None: not measured
    found: str

    @property
    def word(self) -> str:
        """For the table."""
        return {True: "met", False: "not met", None: "not measured"}[self.met]


class AtLeast(msgspec.Struct, frozen=True):
    """A figure of ours reaches so many times the best of others'."""

    times: float
    ours: Figure
    theirs: tuple[Figure, ...]

    def judge(self, figures: Figures) -> Judged:
        """Compare with the strongest of the others, the one for which the ratio is least."""
        ratios = {other.contender: figures.ratio(self.ours, other) for other in self.theirs}
        return _compared(self.ours.name, ratios, operator.ge, self.times)


class AtMost(msgspec.Struct, frozen=True):
    """A figure of ours stays below so many times the best of others'."""

    times: float
    ours: Figure
    theirs: tuple[Figure, ...]

    def judge(self, figures: Figures) -> Judged:
        """Compare with the strongest of the others, the one for which the ratio is greatest."""
        ratios = {other.contender: figures.ratio(self.ours, other) for other in self.theirs}
        return _compared(self.ours.name, ratios, operator.le, self.times)


class Least(msgspec.Struct, frozen=True):
    """A figure reaches a number."""

    figure: Figure
    number: float
    unit: str = ""

    def judge(self, figures: Figures) -> Judged:
        """Look at the median."""
        return _limited(self.figure, figures, operator.ge, self.number, self.unit)


class Most(msgspec.Struct, frozen=True):
    """A figure stays below a number."""

    figure: Figure
    number: float
    unit: str = ""

    def judge(self, figures: Figures) -> Judged:
        """Look at the median."""
        return _limited(self.figure, figures, operator.le, self.number, self.unit)


Condition = AtLeast | AtMost | Least | Most


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of goals."""

    measure: str
    what: str
    goal: str
    conditions: tuple[Condition, ...]
    must: bool = False  # whether a run fails where it is not met
    between: str = ""  # what stands between and the goal, shown where it is not met

    def judge(self, figures: Figures | None) -> Judged:
        """Met where all conditions are; not measured where one that is missing could still decide it."""
        if figures is None:
            return Judged(None, "")
        judged = [condition.judge(figures) for condition in self.conditions]
        return Judged(
            _all([each.met for each in judged]), "; ".join(each.found for each in judged if each.found)
        )


def _all(met: Sequence[bool | None]) -> bool | None:
    if False in met:
        return False
    return None if None in met else True


def _compared(figure: str, ratios: dict[str, float | None], fits: _Compare, times: float) -> Judged:
    """By the ratio that fits least; one that is missing can only spoil it."""
    found = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if not found:
        return Judged(None, "")
    worst = (min if fits is operator.ge else max)(found, key=found.__getitem__)
    met = None if fits(found[worst], times) and len(found) < len(ratios) else fits(found[worst], times)
    return Judged(met, f"{figure} {found[worst]:.2f} times {worst}")


def _limited(figure: Figure, figures: Figures, fits: _Compare, number: float, unit: str) -> Judged:
    spread = figures.spread(figure)
    if spread is None:
        return Judged(None, "")
    return Judged(fits(spread.median, number), f"{figure.name} {shown(spread.median)}{unit}")
