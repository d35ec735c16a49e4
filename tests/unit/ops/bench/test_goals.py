"""Whether a goal was met."""

from pathlib import Path

import pytest

from ops.bench.figures import Figure, Figures, Round
from ops.bench.goals import AtLeast, AtMost, Condition, Goal, Judged, Least, Most
from ops.bench.issue import GOALS
from ops.bench.measures import MEASURES
from ops.bench.results import read
from ops.bench.table import judged, markdown

OURS = Figure("ours", "rate")


def figures(**rates: float) -> Figures:
    return Figures([Round(number=0, contender=name, figures={"rate": rate}) for name, rate in rates.items()])


def goal(*conditions: Condition) -> Goal:
    return Goal(measure="accept", what="", goal="", conditions=conditions)


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        (AtLeast(1.5, OURS, (Figure("a", "rate"),)), True),
        (AtLeast(1.6, OURS, (Figure("a", "rate"),)), False),
        (AtMost(1.5, OURS, (Figure("a", "rate"),)), True),
        (AtMost(1.4, OURS, (Figure("a", "rate"),)), False),
        (Least(OURS, 150), True),
        (Least(OURS, 151), False),
        (Most(OURS, 150), True),
        (Most(OURS, 149), False),
        (Most(Figure("ours", "memory"), 149), None),
        (AtLeast(1.5, OURS, (Figure("nobody", "rate"),)), None),
    ],
)
def test_a_condition_is_met_not_met_or_not_measured(*, condition: Condition, met: bool | None) -> None:
    assert condition.judge(figures(ours=150, a=100)).met is met


def test_the_strongest_of_several_others_counts() -> None:
    condition = AtLeast(2, OURS, (Figure("a", "rate"), Figure("b", "rate")))
    assert condition.judge(figures(ours=150, a=10, b=100)) == Judged(met=False, found="rate 1.50 times b")


def test_a_lead_over_some_proves_nothing_while_others_are_not_measured() -> None:
    condition = AtLeast(2, OURS, (Figure("a", "rate"), Figure("b", "rate")))
    assert condition.judge(figures(ours=150, a=10)).met is None
    assert condition.judge(figures(ours=150, a=100)).met is False


def test_a_goal_is_met_where_all_its_conditions_are() -> None:
    met, unmet, missing = Least(OURS, 1), Least(OURS, 200), Least(Figure("x", "y"), 1)
    found = figures(ours=150)
    assert goal(met, met).judge(found).word == "met"
    assert goal(met, unmet).judge(found).word == "not met"
    assert goal(met, missing).judge(found).word == "not measured"
    assert goal(unmet, missing).judge(found).word == "not met"
    assert goal(met).judge(None).word == "not measured"


def test_every_goal_belongs_to_a_measure() -> None:
    assert {each.measure for each in GOALS} <= set(MEASURES)


def test_the_published_table_is_that_of_the_results_and_says_what_stands_between() -> None:
    folder = Path("ops/bench")
    results = read(folder)
    assert (folder / "RESULTS.md").read_text() == markdown(results)
    assert [goal.what for goal, found in judged(results) if found.met is False and not goal.between] == []
