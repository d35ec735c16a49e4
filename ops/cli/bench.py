"""Measure the platform beside its peers."""

import sys
from collections.abc import Collection
from pathlib import Path

import click

from ops.bench import table
from ops.bench.measures import MEASURES, told
from ops.bench.results import Results
from ops.bench.run import Wishes, run
from ops.cli.environment import read_settings
from ops.cli.site import console
from ops.embedded import ServerError


@click.command()
@click.argument(
    "measures", nargs=-1, required=True, type=click.Choice(["all", *MEASURES]), metavar="MEASURE..."
)
@click.option(
    "--rounds", type=click.IntRange(1), help="Of each contender, in turns; the measure's otherwise."
)
@click.option("--short", is_flag=True, help="See that it works: one round, whose figures mean nothing.")
@click.option("--minutes", type=click.FloatRange(0.1), help="How long what goes on for long does so.")
@click.option("--only", multiple=True, help="This contender alone; repeatable.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="For results.json, RESULTS.md and the picture, added to what is there; unset: HOME-bench/results.",
)
def bench(
    *,
    measures: tuple[str, ...],
    rounds: int | None,
    short: bool,
    minutes: float | None,
    only: tuple[str, ...],
    out: Path | None,
) -> None:
    """Measure, on servers of its own, beside peers in an environment of their own.

    MEASURE is `all`, or one or more of those in ops/bench/README.md. Exit status 1 where a round does not
    count, or something grew in a soak. Leave the machine alone meanwhile.
    """
    home = read_settings().home_path
    folder = home.with_name(home.name + "-bench")
    chosen = tuple(MEASURES) if "all" in measures else tuple(dict.fromkeys(measures))
    wishes = Wishes(measures=chosen, rounds=rounds, short=short, minutes=minutes, only=only)
    screen, target = console(), out or folder / "results"
    try:
        found = run(wishes, target, folder, lambda line: screen.print(line, highlight=False, markup=False))
    except ServerError as error:
        raise click.ClickException(str(error)) from None
    for name in chosen:
        screen.print(table.rounds(name, found[name]))
    screen.print(table.terminal(found))
    screen.print(f"results: {target}", soft_wrap=True, highlight=False)
    sys.exit(1 if _fails(found, chosen) else 0)


def _fails(found: Results, chosen: Collection[str]) -> bool:
    """Whether a round does not count, or what must be met is not."""
    spoilt = any(each.invalid for name in chosen for each in found[name].rounds)
    unmet = any(
        goal.must and goal.measure in chosen and judged.met is False for goal, judged in table.judged(found)
    )
    return spoilt or unmet


bench.epilog = "\n\n".join(("Measures:", *(f"{name}: {told(name)}" for name in MEASURES)))
