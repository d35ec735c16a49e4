"""Jobs by filter: what they failed with, a file of them, and acting on all that fit."""

import csv
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TextIO

import click
import msgspec
from rich.markup import escape
from rich.table import Column, Table

from api.client import Acted, Job
from ops.cli.site import console, open_client
from worker.contract.states import State

Wanted = dict[str, str]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"(\d{1,5})([smhd])")
_FIELDS = ("id", "client", "kind", "queue", "state", "attempt", "max_attempts", "created_at", "started_at")
_COLUMNS = (*_FIELDS, "finished_at", "error_type", "error_message", "tags", "batch_id")
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet would begin to compute


class _Past(click.ParamType[str]):
    """A moment: RFC 3339, or a length of time before now."""

    name = "moment"

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        if length := _LENGTH.fullmatch(value):
            ago = timedelta(**{_UNITS[length[2]]: int(length[1])})
            return (datetime.now(UTC) - ago).isoformat()
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail(f"{value!r} is no moment: write 2h, 7d or 2027-01-31T08:00:00Z")
        return value


_OPTIONS = (
    click.option("--kind"),
    click.option("--queue"),
    click.option("--since", "created_after", type=_Past(), help="Accepted then or later: 2h, 7d, RFC 3339."),
    click.option("--until", "created_before", type=_Past(), help="Accepted before then."),
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
        "kind",
        "error",
        Column("message", overflow="fold"),
        Column("last", no_wrap=True),
        Column("example", min_width=36),
        box=None,
    )
    for group in found.failures:
        last = f"{group.last_failed_at:%FT%T}"
        words = (group.kind, group.error_type, group.message)
        table.add_row(str(group.count), *map(escape, words), last, group.example_id)
    console().print(table)
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
        click.echo(f"{meant} jobs are meant")
        return
    if not yes:
        click.confirm(f"{act} {meant} jobs?", abort=True)
    changed = sum(done.changed for done in ask(**wanted))
    click.echo(f"{changed} jobs changed")


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
