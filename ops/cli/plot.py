"""A plot one line high, for a terminal."""

from collections.abc import Sequence

_BARS = " ▁▂▃▄▅▆▇█"


def plot(values: Sequence[float], width: int) -> str:
    """The last `width` values as bars, the highest of them full."""
    shown = values[-width:] if width > 0 else ()
    highest = max(shown, default=0.0)
    return "".join(_BARS[_height(value, highest)] for value in shown)


def _height(value: float, highest: float) -> int:
    """Anything above nothing is seen."""
    if value <= 0:
        return 0
    return max(1, round(value / highest * (len(_BARS) - 1)))
