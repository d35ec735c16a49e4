"""Queues, by way of the HTTP API: how they stand, and pausing, draining, resuming and purging them."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from api.client import Client, Queue
from ops.cli.site import console, open_client
from ops.cli.wording import at_least, brief

_LOOK = 0.5  # seconds between two looks at a queue that drains
_QUIET_LOOKS = (
    2  # that find nothing running, for a claim that began before the pause may be committed after one
)


@click.group(invoke_without_command=True)
@click.pass_context
def queues(ctx: click.Context) -> None:
    """See the queues and steer them; needs a key with the scope operate."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queues)


@queues.command("list")
def list_queues() -> None:
    """Show how much waits where, what runs, and how fast."""
    with open_client() as client:
        found = client.queues()
    console().print(queue_table(found))


@queues.command()
@click.argument("name")
def pause(name: str) -> None:
    """Let nothing of a queue begin, whatever restarts; what runs goes on, and jobs are still accepted."""
    with open_client() as client:
        _say(client.pause(name))


@queues.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let a paused queue go on."""
    with open_client() as client:
        _say(client.resume(name))


@queues.command()
@click.argument("name")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    help="Give up waiting after so many seconds: exit status 1, and the queue stays paused.",
)
def drain(name: str, timeout: float | None) -> None:
    """Pause a queue and wait until nothing of it runs; `resume` lets it go on."""
    with open_client() as client:
        queue = client.pause(name)
        give_up_at = None if timeout is None else time.monotonic() + timeout
        drained = _until_nothing_runs(client, queue, give_up_at)
    if not drained:
        raise click.ClickException(f"{name} is paused, and jobs of it still run after {timeout:g} s")
    click.echo(f"{name} is drained: paused, and nothing of it runs; `jobyard queues resume {name}`")


@queues.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say how many jobs would be cancelled.")
def purge(name: str, *, yes: bool, dry_run: bool) -> None:
    """Cancel all jobs that wait in a queue, of every client; their histories say who did it."""
    with open_client() as client:
        meant = client.purge(name, dry_run=True)
        count = f"{meant.matched}{' or more' if meant.more else ''} jobs"
        if dry_run:
            click.echo(f"{count} would be cancelled")
            return
        if not yes:
            click.confirm(f"Cancel {count} that wait in {name}?", abort=True)
        cancelled, more = 0, True
        while more:
            done = client.purge(name, until=meant.until)
            cancelled, more = cancelled + done.changed, done.more
    click.echo(f"{cancelled} jobs cancelled")


def queue_table(found: Sequence[Queue]) -> Table:
    """The queues, one a line."""
    columns = ("waiting", "oldest", "running", "accepted\n/min", "finished\n/min", "failed\n/min", "workers")
    table = Table(
        Column("queue", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in columns),
        Column("paused", overflow="fold", min_width=10),
        box=None,
        pad_edge=False,
        padding=(0, 1),
        collapse_padding=True,
    )
    for queue in found:
        rates = (queue.accepted_per_minute, queue.finished_per_minute, queue.failed_per_minute)
        table.add_row(
            queue.name,
            at_least(queue.depth),
            brief(queue.oldest_age) if queue.depth else "",
            str(queue.running),
            *(f"{rate:,.0f}" for rate in rates),
            str(len(queue.workers)) if queue.workers else "[red]none[/]",
            _paused(queue),
        )
    return table


def _paused(queue: Queue) -> str:
    if queue.paused_at is None:
        return ""
    since = (datetime.now(UTC) - queue.paused_at).total_seconds()
    return f"[yellow]for {brief(since)} by {escape(queue.paused_by or 'somebody')}[/]"


def _say(queue: Queue) -> None:
    state = "goes on" if queue.paused_at is None else f"is paused since {queue.paused_at:%FT%TZ}"
    click.echo(f"{queue.name} {state}; {at_least(queue.depth)} wait, {queue.running} run")


def _until_nothing_runs(client: Client, queue: Queue, give_up_at: float | None) -> bool:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("")
        quiet = 0
        while (quiet := 0 if queue.running else quiet + 1) < _QUIET_LOOKS:
            progress.update(task, description=f"{queue.name}: {queue.running} run")
            if give_up_at is not None and time.monotonic() >= give_up_at:
                return False
            time.sleep(_LOOK)
            queue = client.queue(queue.name)
    return True
