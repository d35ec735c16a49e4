"""Rounds, and what many of them come to: medians, spreads, and ratios round by round."""

import statistics
from collections.abc import Iterable, Sequence

import msgspec


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one contender gave once."""

    number: int  # rounds of the same number ran side by side
    contender: str
    figures: dict[str, float] = {}
    invalid: str | None = None  # why it does not count

    def __str__(self) -> str:
        """For somebody who looks on."""
        told = ", ".join(f"{name} {shown(value)}" for name, value in self.figures.items())
        return f"{self.number + 1} {self.contender}: {told or f'does not count: {self.invalid}'}"


class Figure(msgspec.Struct, frozen=True):
    """The name of a figure of a contender."""

    contender: str
    name: str


class Spread(msgspec.Struct, frozen=True):
    """What several rounds gave for one figure."""

    median: float
    least: float
    most: float
    rounds: int

    def __str__(self) -> str:
        """The median, and the spread in brackets."""
        return f"{shown(self.median)} ({shown(self.least)} to {shown(self.most)})"


class Figures:
    """The figures of a measure.

    Args:
        rounds: those that do not count are left out.
    """

    def __init__(self, rounds: Iterable[Round]) -> None:
        self._rounds = [each for each in rounds if each.invalid is None]

    def values(self, figure: Figure) -> dict[int, float]:
        """What each round gave, by its number."""
        return {
            each.number: each.figures[figure.name]
            for each in self._rounds
            if each.contender == figure.contender and figure.name in each.figures
        }

    def spread(self, figure: Figure) -> Spread | None:
        """The median and the ends; None where nothing was measured."""
        values = list(self.values(figure).values())
        return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None

    def ratio(self, over: Figure, under: Figure) -> float | None:
        """The median of the ratios of rounds that ran side by side; None where there is none."""
        unders = self.values(under)
        ratios = [value / unders[number] for number, value in self.values(over).items() if unders.get(number)]
        return statistics.median(ratios) if ratios else None


def quantile(values: Sequence[float], part: float) -> float:
    """The smallest value that at least this part of them does not exceed (the nearest-rank method).

    Args:
        values: one at least.
        part: above 0, and 1 at most.
    """
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)]


def shown(value: float) -> str:
    """A number as a person reads it: three digits that count, no more."""
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004 - three digits
        return f"{value:,.0f}"
    return f"{value:.3g}"
