"""What many rounds come to."""

import pytest

from ops.bench.figures import Figure, Figures, Round, Spread, quantile, shown


def rounds(contender: str, *rates: float | None) -> list[Round]:
    """Rounds with one rate each; None: one that does not count."""
    return [
        Round(number=number, contender=contender, figures={"rate": rate})
        if rate is not None
        else Round(number=number, contender=contender, figures={"rate": 1e9}, invalid="a job was lost")
        for number, rate in enumerate(rates)
    ]


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert Figures(rounds("a", 3.0, 100.0, 1.0)).spread(Figure("a", "rate")) == Spread(3.0, 1.0, 100.0, 3)


def test_a_round_that_proves_nothing_does_not_count() -> None:
    assert Figures(rounds("a", 3.0, None, 1.0)).spread(Figure("a", "rate")) == Spread(2.0, 1.0, 3.0, 2)


def test_what_was_never_measured_has_no_spread() -> None:
    figures = Figures(rounds("a", None))
    assert figures.spread(Figure("a", "rate")) is None
    assert figures.spread(Figure("b", "rate")) is None


def test_a_ratio_compares_rounds_that_ran_side_by_side() -> None:
    """The machine was slow in the second round: both were, and the ratio does not change."""
    figures = Figures([*rounds("a", 20.0, 2.0, 24.0), *rounds("b", 10.0, 1.0, 10.0)])
    assert figures.ratio(Figure("a", "rate"), Figure("b", "rate")) == 2.0


def test_a_round_without_its_counterpart_is_not_compared() -> None:
    figures = Figures([*rounds("a", 20.0, 90.0, 30.0), *rounds("b", 10.0, None, 10.0)])
    assert figures.ratio(Figure("a", "rate"), Figure("b", "rate")) == 2.5
    assert figures.ratio(Figure("a", "rate"), Figure("c", "rate")) is None


@pytest.mark.parametrize(
    ("part", "value"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.01, 1), (0.001, 1)]
)
def test_a_quantile_is_one_of_the_values(part: float, value: int) -> None:
    assert quantile(range(100, 0, -1), part) == value


def test_of_one_value_every_quantile_is_that_value() -> None:
    assert quantile([7.0], 0.5) == quantile([7.0], 0.99) == 7.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (99.96, "100"), (12.34, "12.3"), (0.01234, "0.0123"), (0.0, "0")],
)
def test_numbers_show_the_digits_that_count(value: float, text: str) -> None:
    assert shown(value) == text
