"""Jobs, by way of the HTTP API: the commands can do what a client can."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from api.client import Job
from ops.cli import selection
from ops.cli.moments import Past, written
from ops.cli.said import Said
from ops.cli.site import LISTED, console, open_client
from worker.contract.states import Priority, State

_STATES = [state.value for state in State]


@click.group()
def jobs() -> None:
    """Submit jobs and look at them."""


@jobs.command()
@click.argument("kind")
@click.argument("payload", default="{}")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(min=0),
    help="Wait so many seconds for its end; exit status 1 where it has not succeeded by then.",
)
@click.option("--at", "scheduled_at", help="Not before this time (RFC 3339: 2027-01-31T08:00:00Z).")
@click.option("--expires", "expires_at", help="Not started by this time, it fails.")
@click.option("--priority", type=click.Choice([priority.value for priority in Priority]))
@click.option("--queue", help="One of the kind's queues.")
@click.option("--max-attempts", type=click.IntRange(min=1))
@click.option("--tag", "tags", multiple=True, help="A word to find it by; may be given several times.")
@click.option("--callback", help="https URL that is told of its end.")
@click.option("--after", multiple=True, help="Id of a job that has to succeed first; as often as needed.")
@click.option(
    "--unique", help="While a job of yours holds this key, you get that one and no new job is made."
)
@click.option(
    "--unique-window", type=click.FloatRange(min=0, min_open=True), help="Seconds for which it is held."
)
@click.option(
    "--unique-state",
    "unique_states",
    type=click.Choice(_STATES),
    multiple=True,
    help="A state in which it is held; may be given several times.",
)
@click.option("--idempotency-key", help="Submitted again under the same key, it stays one job.")
def submit(
    kind: str,
    payload: str,
    *,
    seconds: float | None,
    unique: str | None,
    unique_window: float | None,
    unique_states: Sequence[str],
    **options: Any,
) -> None:
    """Submit a job. PAYLOAD is JSON; - reads it from standard input."""
    decoded = _decoded(payload)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    given |= _unique_key(unique, unique_window, unique_states)
    with open_client() as client:
        if seconds:
            _end(client.run(kind, decoded, seconds, **given), seconds)
        _show(client.submit(kind, decoded, **given))


@jobs.command()
@click.argument("job_id", type=click.UUID)
def show(job_id: Any) -> None:
    """Show a job as the API tells it."""
    with open_client() as client:
        _show(client.job(str(job_id)))


@jobs.command()
@click.argument("job_id", type=click.UUID)
@click.argument("name", type=Said())
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Unset: NAME, in this folder.")
def artifact(job_id: Any, name: str, out: Path | None) -> None:
    """Download the file NAME that a job made."""
    target = out or Path(Path(name).name)
    with open_client() as client:
        try:
            client.download(str(job_id), name, target)
        except OSError as error:
            raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
    click.echo(f"{target}: {target.stat().st_size} bytes")


@jobs.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@click.option("--kind", help="Only jobs of this kind.")
@click.option("--queue", help="Only jobs of this queue.")
@click.option("--tag", help="Only jobs with this tag.")
@click.option("--batch", type=click.UUID, help="Only jobs of the batch with this id.")
@click.option("--error-type", help="Only jobs that failed with this, as `jobs failures` shows it.")
@click.option("--client", help="Jobs of this client, or '*' for everybody: keys with the scope operate.")
@click.option(
    *("--since", "--created-after", "created_after"),
    type=Past(),
    help="Only jobs accepted then or later: 2h, 7d, yesterday, 2027-01-31 (of UTC), RFC 3339.",
)
@click.option(
    *("--until", "--created-before", "created_before"),
    type=Past(),
    help="Only jobs accepted before this time.",
)
@click.option(
    "--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many at most."
)
def list_jobs(limit: int, **wanted: object) -> None:
    """List jobs, newest first."""
    given = {name: str(value) for name, value in wanted.items() if value is not None}
    with open_client() as client:
        found = list(client.jobs(limit + 1, **given))
    print_jobs(found[:limit], whose="client" in given)
    if not found:
        click.echo(f"no job fits, of {selection.described(given)}", err=True)
    if len(found) > limit:
        click.echo(
            f"there are more than these {limit}: give a larger --limit, or a narrower filter", err=True
        )


def print_jobs(found: Iterable[Job], *, whose: bool = False) -> None:
    """A table of jobs as lists show them; `whose`: with their clients."""
    table = Table(
        Column("id", no_wrap=True),
        *([Column("client", overflow="fold")] if whose else []),
        *(Column(name, no_wrap=True) for name in ("kind", "state", "attempt", "created")),
        Column("error", overflow="fold"),
        box=None,
        pad_edge=False,
    )
    for job in found:
        attempts = f"{job.attempt}/{job.max_attempts}"
        error = escape(job.error.message[:60]) if job.error else ""
        owner = [job.client or ""] if whose else []
        table.add_row(job.id, *owner, job.kind, job.state, attempts, written(job.created_at), error)
    console(LISTED).print(table)


@jobs.command()
@click.argument("job_id", type=click.UUID)
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True)
def wait(job_id: Any, timeout: float) -> None:
    """Wait until a job ends; exit status 1 where it did not succeed."""
    with open_client() as client:
        job = client.wait(str(job_id), timeout)
    _end(job, timeout)


@jobs.command()
@click.argument("job_id", type=click.UUID)
def cancel(job_id: Any) -> None:
    """Cancel a job; one that runs is asked to stop."""
    with open_client() as client:
        _show(client.cancel(str(job_id)))


@jobs.command()
@click.argument("job_id", type=click.UUID)
def retry(job_id: Any) -> None:
    """Run a failed or cancelled job again, with one more attempt."""
    with open_client() as client:
        _show(client.retry(str(job_id)))


for command in selection.COMMANDS:
    jobs.add_command(command)


def _decoded(payload: str) -> Any:
    text = sys.stdin.read() if payload == "-" else payload
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"PAYLOAD is no JSON: {error}") from None


def _unique_key(key: str | None, window: float | None, states: Sequence[str]) -> Mapping[str, Any]:
    """The member `unique_key` of a submission, where one is wanted."""
    if key is None:
        if window is not None or states:
            raise click.UsageError("--unique-window and --unique-state say how --unique KEY is held: give it")
        return {}
    bounds = {"window": window, "states": states}
    return {"unique_key": {"key": key} | {name: value for name, value in bounds.items() if value}}


def _end(job: Job, seconds: float) -> NoReturn:
    """Show a job that was waited for; the exit status says whether it succeeded."""
    _show(job)
    if not job.ended:
        raise click.ClickException(f"still {job.state} after {seconds:g} s")
    sys.exit(0 if job.state is State.SUCCEEDED else 1)


def _show(job: Job) -> None:
    Console().print_json(msgspec.json.encode(job).decode())
