"""Jobs by filter: what they failed with, a file of them, and acting on all that fit."""

import csv
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TextIO

import click
import msgspec
from rich.markup import escape
from rich.table import Column, Table

from api.client import Acted, Job
from ops.cli.moments import Past, written
from ops.cli.site import LISTED, console, open_client
from worker.contract.states import State

Wanted = dict[str, str]

_FIELDS = ("id", "client", "kind", "queue", "state", "attempt", "max_attempts", "created_at", "started_at")
_COLUMNS = (*_FIELDS, "finished_at", "error_type", "error_message", "tags", "batch_id")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to compute


_OPTIONS = (
    click.option("--kind"),
    click.option("--queue"),
    click.option(
        *("--since", "created_after"),
        type=Past(),
        help="Accepted then or later: 2h, 7d, yesterday, 2027-01-31 (of UTC), RFC 3339.",
    ),
    click.option("--until", "created_before", type=Past(), help="Accepted before then."),
    click.option("--client", help="Of this client, or '*' for everybody: keys with the scope operate."),
)
_FURTHER = (
    click.option("--state", type=click.Choice([state.value for state in State])),
    click.option("--tag"),
    click.option("--batch"),
    click.option("--error-type", help="As `jobs failures` shows it."),
)


def _filtered(*options: Callable[..., Any]) -> Callable[..., Any]:
    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _given(wanted: dict[str, str | None]) -> Wanted:
    return {name: value for name, value in wanted.items() if value is not None}


@click.command()
@_filtered(*_OPTIONS)
def failures(**wanted: str | None) -> None:
    """Show what jobs failed with, by error; of the last 24 hours unless --since says otherwise."""
    with open_client() as client:
        found = client.failures(**_given(wanted))
    table = Table(
        Column("jobs", justify="right"),
        Column("kind", overflow="fold"),
        Column("error", overflow="fold"),
        Column("message", overflow="fold", min_width=10),
        Column("last", no_wrap=True),
        Column("example", no_wrap=True, min_width=36),
        box=None,
        pad_edge=False,
    )
    for group in found.failures:
        last = written(group.last_failed_at)
        words = (group.kind, group.error_type, group.message)
        table.add_row(str(group.count), *map(escape, words), last, group.example_id)
    console(LISTED).print(table)
    if not found.failures:
        wanted["created_after"] = found.created_after.isoformat()
        click.echo(f"nothing failed of {described(_given(wanted))}", err=True)
    if not found.complete:
        click.echo("there were more failed jobs than are looked at: ask for a shorter time", err=True)


@click.command()
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-")
@_filtered(*_OPTIONS, *_FURTHER)
def export(form: str, output: TextIO, **wanted: str | None) -> None:
    """Write all jobs that fit a filter, newest first, one a line."""
    with open_client() as client:
        jobs = client.jobs(sys.maxsize, **_given(wanted))
        (_write_csv if form == "csv" else _write_lines)(jobs, output)


@click.command("cancel-all")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say how many jobs are meant.")
@_filtered(*_OPTIONS, *_FURTHER)
def cancel_all(*, yes: bool, dry_run: bool, **wanted: str | None) -> None:
    """Cancel all jobs that fit a filter; those that run are asked to stop."""
    with open_client() as client:
        _act("Cancel", client.cancel_all, _given(wanted), yes=yes, dry_run=dry_run)


@click.command("retry-all")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say how many jobs are meant.")
@_filtered(*_OPTIONS, *_FURTHER)
def retry_all(*, yes: bool, dry_run: bool, **wanted: str | None) -> None:
    """Run all failed and cancelled jobs again that fit a filter."""
    with open_client() as client:
        _act("Run again", client.retry_all, _given(wanted), yes=yes, dry_run=dry_run)


COMMANDS = (failures, export, cancel_all, retry_all)


def _act(act: str, ask: Callable[..., Iterator[Acted]], wanted: Wanted, *, yes: bool, dry_run: bool) -> None:
    meant = sum(done.matched for done in ask(dry_run=True, **wanted)) if dry_run or not yes else 0
    if dry_run:
        click.echo(f"{meant} jobs are meant, of {described(wanted)}")
        return
    if not yes:
        click.confirm(f"{act} {meant} jobs, of {described(wanted)}?", abort=True)
    changed = sum(done.changed for done in ask(**wanted))
    click.echo(f"{changed} jobs changed")


def described(wanted: Wanted) -> str:
    """Which jobs a filter means, in words: whoever is about to act on them sees what was understood."""
    return ", ".join([_owner(wanted), *_conditions(wanted)])


def _owner(wanted: Wanted) -> str:
    owner = wanted.get("client")
    if owner is None:
        return "this key's client (--client NAME for another)"
    return "all clients" if owner == "*" else f"client {owner}"


def _conditions(wanted: Wanted) -> Iterator[str]:
    for name in ("kind", "queue", "state", "tag", "batch", "error_type"):
        if name in wanted:
            yield f"{name.replace('_', ' ')} {wanted[name]}"
    if since := wanted.get("created_after"):
        yield f"accepted since {written(datetime.fromisoformat(since))}"
    if until := wanted.get("created_before"):
        yield f"accepted before {written(datetime.fromisoformat(until))}"


def _write_lines(jobs: Iterator[Job], output: TextIO) -> None:
    output.writelines(msgspec.json.encode(job).decode() + "\n" for job in jobs)


def _write_csv(jobs: Iterator[Job], output: TextIO) -> None:
    writer = csv.writer(output)
    writer.writerow(_COLUMNS)
    for job in jobs:
        writer.writerow(map(_cell, _record(job)))


def _record(job: Job) -> Iterator[object]:
    yield from (getattr(job, name) for name in _FIELDS)
    yield job.finished_at
    yield job.error.type if job.error else None
    yield job.error.message if job.error else None
    yield " ".join(job.tags)
    yield job.batch_id


def _cell(value: object) -> str:
    """What a spreadsheet shows as it is: errors and tags are strangers' words, and no formulas."""
    shown = value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)
    return f"'{shown}" if shown.startswith(_FORMULAS) else shown
