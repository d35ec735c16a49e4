"""The table of goals, and the words of RESULTS.md."""

from collections.abc import Iterator, Mapping

from rich.table import Table

from ops.bench.figures import Figure, Round
from ops.bench.goals import Goal, Judged
from ops.bench.issue import GOALS
from ops.bench.machine import Machine
from ops.bench.results import Measured, Results

_HEAD = """# Results

Made by `jobyard bench`; `results.json` has every round. A figure is the median over the rounds, with the
least and the most in brackets; a ratio is the median of the ratios of rounds that ran side by side. A round
counts only where every job ended once with the right result. PostgreSQL's durability is at its defaults.

![the medians](results.svg)
"""


def judged(results: Results) -> list[tuple[Goal, Judged]]:
    """Every goal, with what was found; a short run proves nothing."""
    return [(goal, _judge(goal, results.get(goal.measure))) for goal in GOALS]


def _judge(goal: Goal, measured: Measured | None) -> Judged:
    return goal.judge(measured.figures if measured and not measured.short else None)


def terminal(results: Results) -> Table:
    """What a person reads at once."""
    shown = Table("measure", "goal", "found", "", title="Goals")
    colours = {True: "green", False: "red", None: "dim"}
    for goal, found in judged(results):
        shown.add_row(goal.what, goal.goal, found.found, f"[{colours[found.met]}]{found.word}[/]")
    return shown


def rounds(name: str, measured: Measured) -> Table:
    """The figures of one measure."""
    note = " (short: its figures mean nothing)" if measured.short else ""
    shown = Table("contender", "figure", "median (least to most)", "rounds", title=name + note)
    for contender, figure in figures_of(measured.rounds):
        spread = measured.figures.spread(Figure(contender, figure))
        if spread is not None:
            shown.add_row(contender, figure, str(spread), str(spread.rounds))
    for each in measured.rounds:
        if each.invalid is not None:
            shown.add_row(each.contender, f"[red]does not count:[/] {each.invalid}", "", "")
    return shown


def figures_of(found: list[Round]) -> list[tuple[str, str]]:
    """Contenders and the names of their figures, in the order in which they appeared."""
    return list(dict.fromkeys((each.contender, name) for each in found for name in each.figures))


def markdown(results: Results) -> str:
    """RESULTS.md."""
    return "\n".join([_HEAD, *_goals(results), *_between(results), "", *_measures(results)])


def _goals(results: Results) -> Iterator[str]:
    yield "## The goals\n\n| measure | goal | found | |\n|---|---|---|---|"
    for goal, found in judged(results):
        yield f"| {goal.what} | {goal.goal} | {found.found} | {found.word} |"


def _between(results: Results) -> Iterator[str]:
    unmet = [goal for goal, found in judged(results) if found.met is False]
    texts = dict.fromkeys(goal.between for goal in unmet if goal.between)
    if texts:
        yield "\n## What stands between\n"
        yield "Where a goal is not met: what a profile showed, and what was tried.\n"
        yield from (f"- {text}" for text in texts)


def _measures(results: Results) -> Iterator[str]:
    for name, measured in results.items():
        note = " A short run: its figures mean nothing." if measured.short else ""
        yield f"## {name}\n\n{measured.at}, on {_machine(measured.machine)}.{note}\n"
        yield "| contender | figure | median (least to most) | rounds |\n|---|---|---|---|"
        for contender, figure in figures_of(measured.rounds):
            spread = measured.figures.spread(Figure(contender, figure))
            if spread is not None:
                yield f"| {contender} | {figure} | {spread} | {spread.rounds} |"
        yield ""
        yield from (
            f"Round {each.number + 1} of {each.contender} does not count: {' '.join(each.invalid.split())}\n"
            for each in measured.rounds
            if each.invalid is not None
        )


def _machine(machine: Machine) -> str:
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib:g} GiB, {machine.system}"
    checkout = f" at {machine.commit}" if machine.commit else ""
    busy = f"load {machine.load:g} before it began"
    ours, theirs = _versions(machine.ours), _versions(machine.theirs)
    beside = f"; beside it {theirs}" if theirs else ""
    return f"{where}, {busy}; Python {machine.python}, Jobyard{checkout} with {ours}{beside}"


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
