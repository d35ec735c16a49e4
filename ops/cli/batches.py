"""Batches, by way of the HTTP API: jobs from a file, submitted together and watched as one."""

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, TextIO

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from api.client import Batch
from ops.cli.jobs import print_jobs
from ops.cli.moments import written
from ops.cli.site import LISTED, console, open_client
from worker.contract.states import State

_MOST = 10_000  # jobs of a batch


@click.group()
def batches() -> None:
    """Submit many jobs at once and look at them."""


@batches.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    help="Wait so many seconds for the end of all; exit status 1 where one has not succeeded by then.",
)
@click.option("--tag", "tags", multiple=True, help="A word about the batch; may be given several times.")
@click.option("--callback", help="https URL that is told once when all jobs have ended.")
@click.option("--idempotency-key", help="Submitted again under the same key, it stays one batch.")
def submit(file: TextIO, seconds: float | None, **options: Any) -> None:
    """Submit the jobs of FILE, all or none; - reads standard input.

    FILE holds one job a line (NDJSON), an array of jobs, or a batch as the API takes it: {"jobs": [...]}.
    A job is {"kind": ..., "payload": ...}, with whatever else a submission may say, and perhaps a `name`
    for the `after` of others.
    """
    jobs, members = _read(file)
    given = members | {name: value for name, value in options.items() if value not in (None, ())}
    with open_client() as client:
        accepted = client.batch(jobs, **given)
        if not seconds:
            _show(accepted)
            return
        batch = client.wait_batch(accepted.id, seconds)
    _end(msgspec.structs.replace(batch, job_ids=accepted.job_ids, names=accepted.names), seconds)


@batches.command()
@click.argument("batch_id", type=click.UUID)
def show(batch_id: Any) -> None:
    """Show a batch: how many of its jobs are in which state."""
    with open_client() as client:
        _show(client.read_batch(str(batch_id)))


@batches.command("list")
@click.option("--state", type=click.Choice(["unfinished", "finished"]))
@click.option("--tag")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def list_batches(limit: int, **wanted: str | None) -> None:
    """List batches, newest first."""
    table = Table(
        Column("id", no_wrap=True, min_width=36),
        "jobs",
        Column("created", no_wrap=True),
        Column("finished", no_wrap=True),
        Column("tags", overflow="fold"),
        box=None,
        pad_edge=False,
    )
    with open_client() as client:
        given = {name: value for name, value in wanted.items() if value is not None}
        for batch in client.batches(limit, **given):
            finished = written(batch.finished_at) if batch.finished_at else ""
            tags = escape(", ".join(batch.tags))
            table.add_row(batch.id, str(batch.size), written(batch.created_at), finished, tags)
    console(LISTED).print(table)


@batches.command("jobs")
@click.argument("batch_id", type=click.UUID)
@click.option("--state", type=click.Choice([state.value for state in State]))
@click.option("--limit", type=click.IntRange(1, _MOST), default=_MOST, show_default=True)
def list_jobs(batch_id: Any, state: str | None, limit: int) -> None:
    """List the jobs of a batch, the last first."""
    wanted = {"batch": str(batch_id)} | ({"state": state} if state else {})
    with open_client() as client:
        print_jobs(client.jobs(limit, **wanted))


@batches.command()
@click.argument("batch_id", type=click.UUID)
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True)
def wait(batch_id: Any, timeout: float) -> None:
    """Wait until all jobs of a batch ended; exit status 1 where one did not succeed."""
    with open_client() as client:
        batch = client.wait_batch(str(batch_id), timeout)
    _end(batch, timeout)


@batches.command()
@click.argument("batch_id", type=click.UUID)
def cancel(batch_id: Any) -> None:
    """Cancel what has not ended of a batch; jobs that run are asked to stop."""
    with open_client() as client:
        _show(client.cancel_batch(str(batch_id)))


def _read(file: TextIO) -> tuple[Sequence[Any], dict[str, Any]]:
    """The jobs of a file, and what else it says of the batch."""
    text = file.read()
    try:
        found = json.loads(text)
    except ValueError:
        return _lines(text), {}
    if isinstance(found, dict) and isinstance(found.get("jobs"), list):
        return found.pop("jobs"), found
    return (found if isinstance(found, list) else [found]), {}


def _lines(text: str) -> list[Any]:
    jobs = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            jobs += [json.loads(line)] if line.strip() else []
        except ValueError as error:
            raise click.ClickException(
                f"FILE is no JSON, and its line {number} is none either: {error}"
            ) from None
    return jobs


def _end(batch: Batch, seconds: float) -> NoReturn:
    """Show a batch that was waited for; the exit status says whether all of its jobs succeeded."""
    _show(batch)
    if not batch.ended:
        raise click.ClickException(f"some jobs have not ended after {seconds:g} s")
    sys.exit(0 if batch.counts.keys() == {State.SUCCEEDED} else 1)


def _show(batch: Batch) -> None:
    told = {name: value for name, value in msgspec.to_builtins(batch).items() if value is not None}
    Console().print_json(msgspec.json.encode(told).decode())
