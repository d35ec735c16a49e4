import pytest

from ops.cli.plot import plot


@pytest.mark.parametrize(
    ("values", "width", "drawn"),
    [
        ([], 3, ""),
        ([0.0, 4.0, 8.0], 3, " ▄█"),
        ([1.0, 2.0], 4, "▄█"),
        ([9.0, 1.0, 2.0], 2, "▄█"),
        ([0.01, 100.0], 2, "▁█"),
        ([0.0, 0.0], 2, "  "),
        ([1.0], 0, ""),
    ],
)
def test_the_last_values_are_bars_up_to_the_highest(values: list[float], width: int, drawn: str) -> None:
    assert plot(values, width) == drawn
