"""Break a platform on purpose, and judge what came of its jobs."""

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console

from ops.chaos import run as chaos_run
from ops.chaos.carrier import Carrier
from ops.chaos.faults import FAULTS
from ops.chaos.measure import firings as fired
from ops.chaos.measure import run as measured
from ops.chaos.measure.bench import TooSlow
from ops.chaos.measure.claim import table
from ops.chaos.measure.fired import table as firings_table
from ops.chaos.report import tables
from ops.chaos.rig import NotUp
from ops.cli.environment import read_settings
from ops.embedded import ServerError


@click.group(invoke_without_command=True)
@click.option("--minutes", type=click.FloatRange(0.1, 24 * 60), default=3.0, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True, help="Replays load and plan of faults.")
@click.option(
    "--rate", type=click.FloatRange(0.1, 1000), default=20.0, show_default=True, help="Submissions a second."
)
@click.option(
    "--pace", type=click.FloatRange(0.1, 10), default=1.0, show_default=True, help="Above 1: more faults."
)
@click.option(
    "--broker",
    type=click.Choice([carrier.value for carrier in Carrier]),
    default=Carrier.VALKEY.value,
    show_default=True,
    help="RabbitMQ must be installed.",
)
@click.option(
    "--least-jobs",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Accepted; fewer are a failure.",
)
@click.option(
    "--least-faults", type=click.IntRange(0), default=1, show_default=True, help="Fewer are a failure."
)
@click.option("--faults", default="", help="Only these, comma-separated; all of the broker's otherwise.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="For report, picture, histories and logs; unset: HOME-chaos/seed-SEED.",
)
@click.pass_context
def chaos(
    ctx: click.Context,
    *,
    minutes: float,
    seed: int,
    rate: float,
    pace: float,
    broker: str,
    least_jobs: int,
    least_faults: int,
    faults: str,
    out: Path | None,
) -> None:
    """Break a platform of its own under load, and judge what came of every accepted job.

    Exit status 1 where the promise did not hold, or where the run proves less than was asked for.
    ops/chaos/README.md says what is promised.
    """
    if ctx.invoked_subcommand is not None:
        return
    console = Console()
    carrier = Carrier(broker)
    course = chaos_run.Course(
        seconds=60 * minutes,
        seed=seed,
        rate=rate,
        pace=pace,
        broker=carrier,
        least_jobs=least_jobs,
        least_faults=least_faults,
        faults=_chosen(faults, carrier),
    )
    folder = _empty(out or _default(f"seed-{seed}"), "plan.json")
    try:
        report = chaos_run.run(course, folder, console.print)
    except (NotUp, ServerError) as error:
        raise click.ClickException(str(error)) from None
    console.print(tables(report))
    console.print(f"report, picture, histories and logs: {folder}", soft_wrap=True, highlight=False)
    sys.exit(0 if report.valid and not report.lacking else 1)


@chaos.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Kills of each worker.")
@click.option(
    "--queued", type=click.IntRange(100), default=10_000, show_default=True, help="Jobs when it is flushed."
)
@click.option(
    "--away",
    type=click.FloatRange(10, 3600),
    multiple=True,
    default=(30.0,),
    show_default=True,
    help="Seconds that the broker is away; repeatable. 300 takes eight minutes.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="For figures, histories and logs; unset: HOME-chaos/measured.",
)
def measure(*, rounds: int, queued: int, away: tuple[float, ...], out: Path | None) -> None:
    """Measure how long what breaks takes to go on, on a platform of its own.

    Takes about six minutes. Exit status 1 where a claim was not met.
    """
    console = Console()
    folder = _empty(out or _default("measured"), measured.MEASURED)
    try:
        claims = measured.run(measured.Course(rounds=rounds, queued=queued, away=away), folder, console.print)
    except (NotUp, ServerError, TooSlow) as error:
        raise click.ClickException(str(error)) from None
    console.print(table(claims))
    console.print(f"figures, histories and logs: {folder}", soft_wrap=True, highlight=False)
    sys.exit(0 if all(claim.met for claim in claims) else 1)


@chaos.command()
@click.option("--minutes", type=click.IntRange(1, 24 * 60), default=10, show_default=True)
@click.option("--schedules", type=click.IntRange(1, 1000), default=200, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="For figures, journal and logs; unset: HOME-chaos/firings.",
)
def firings(*, minutes: int, schedules: int, out: Path | None) -> None:
    """Kill two beats in turn under many schedules, on a platform of its own, and count what fired.

    Exit status 1 where a firing is missing or double.
    """
    console = Console()
    folder = _empty(out or _default("firings"), fired.FOUND)
    try:
        found = fired.run(minutes, schedules, folder, console.print)
    except (NotUp, ServerError) as error:
        raise click.ClickException(str(error)) from None
    console.print(firings_table(found))
    console.print(f"figures, journal and logs: {folder}", soft_wrap=True, highlight=False)
    sys.exit(0 if found.right else 1)


def _chosen(words: str, carrier: Carrier) -> tuple[str, ...]:
    names = tuple(word.strip() for word in words.split(",") if word.strip())
    there = [fault.name for fault in FAULTS.values() if carrier in fault.carriers]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise click.BadParameter(
            f"on {carrier} there is no fault {', '.join(unknown)}; there are {', '.join(there)}"
        )
    return names


def _default(name: str) -> Path:
    home = read_settings().home_path
    return home.with_name(home.name + "-chaos") / name


def _empty(folder: Path, made: str) -> Path:
    """The folder, without what an earlier run left there; never without anything else."""
    if folder.exists() and any(folder.iterdir()) and not (folder / made).exists():
        raise click.ClickException(f"{folder} is not empty, and no earlier run made it: choose another --out")
    shutil.rmtree(folder, ignore_errors=True)
    return folder
