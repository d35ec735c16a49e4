"""Schedules, by way of the HTTP API: the commands can do what a client can."""

import json
import sys
from typing import Any
from uuid import UUID

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from api.client import Client, Schedule
from ops.cli.moments import written
from ops.cli.site import LISTED, console, open_client


@click.group()
def schedules() -> None:
    """Make jobs by the clock: save schedules and look at what they fired."""


@schedules.command()
@click.argument("name")
@click.argument("kind")
@click.argument("payload", default="{}")
@click.option(
    "--cron", help="'0 6 * * MON-FRI'; L, LW and # are known; with six fields the first is seconds."
)
@click.option("--every", type=click.IntRange(min=1), help="Seconds between two firings.")
@click.option("--at", help="The one time that it fires (RFC 3339: 2027-01-31T08:00:00Z).")
@click.option("--timezone", help="Of --cron: Europe/Berlin; UTC if left out.")
@click.option("--starts", "starts_at", help="No fire time before this (RFC 3339).")
@click.option("--ends", "ends_at", help="No fire time after this (RFC 3339).")
@click.option("--jitter", type=click.IntRange(min=0), help="Each job is due up to so many seconds later.")
@click.option(
    "--overlap",
    type=click.Choice(["allow", "skip", "queue", "replace"]),
    help="What a firing does while an earlier job has not ended; allow if left out.",
)
@click.option(
    "--missed",
    type=click.Choice(["skip", "one", "all"]),
    help="What is made up that passed without a beat; one if left out.",
)
@click.option("--limit", type=click.IntRange(1, 500), help="Firings that are made up, or wait, at most.")
@click.option("--priority", type=click.Choice(["low", "normal", "high"]))
@click.option("--queue")
@click.option("--max-attempts", type=click.IntRange(min=1))
@click.option("--tag", "tags", multiple=True)
@click.option("--disabled", is_flag=True, help="It fires once it is enabled.")
@click.option("--replace", is_flag=True, help="Put it in the place of the one of this name, if there is one.")
def create(name: str, kind: str, payload: str, *, disabled: bool, replace: bool, **options: Any) -> None:
    """Save a schedule. PAYLOAD is JSON; - reads it from standard input."""
    text = sys.stdin.read() if payload == "-" else payload
    try:
        decoded = json.loads(text)
    except ValueError as error:
        raise click.ClickException(f"PAYLOAD is no JSON: {error}") from None
    said = {field: value for field, value in options.items() if value} | (
        {"enabled": False} if disabled else {}
    )
    with open_client() as client:
        there = client.schedules.find(name) if replace else None
        if there:
            _show(client.schedules.replace(there.id, name, kind, decoded, **said))
        else:
            _show(client.schedules.create(name, kind, decoded, **said))


@schedules.command("list")
@click.option("--client", "owner", help="Another client's, or '*' for everybody's: with the scope operate.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_schedules(owner: str | None, limit: int) -> None:
    """List schedules, newest first."""
    table = Table(
        Column("name", overflow="fold"),
        "fires",
        "kind",
        Column("next", no_wrap=True),
        Column("id", no_wrap=True, min_width=36),
        Column("client", overflow="fold"),
        box=None,
        pad_edge=False,
    )
    with open_client() as client:
        for found in client.schedules.all(limit, **({"client": owner} if owner else {})):
            following = written(found.next_fire_at) if found.next_fire_at else _silence(found)
            row = (found.name, _rhythm(found), found.kind, following, found.id, found.client or "")
            table.add_row(*map(escape, row))
    console(LISTED).print(table)


@schedules.command()
@click.argument("schedule")
def show(schedule: str) -> None:
    """Show a schedule, given by its name or id, with its next fire times."""
    with open_client() as client:
        _show(client.schedules.read(_id(client, schedule)))


@schedules.command()
@click.argument("schedule")
def enable(schedule: str) -> None:
    """Let a schedule fire again; what passed meanwhile is not made up."""
    with open_client() as client:
        _show(client.schedules.enable(_id(client, schedule)))


@schedules.command()
@click.argument("schedule")
def disable(schedule: str) -> None:
    """Let a schedule fire no more, until it is enabled."""
    with open_client() as client:
        _show(client.schedules.disable(_id(client, schedule)))


@schedules.command()
@click.argument("schedule")
def run(schedule: str) -> None:
    """Make a job of a schedule now, whether it is enabled or not."""
    with open_client() as client:
        _show(client.schedules.run(_id(client, schedule)))


@schedules.command()
@click.argument("schedule")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def firings(schedule: str, limit: int) -> None:
    """List what a schedule fired, newest first."""
    table = Table(
        Column("fire time", no_wrap=True),
        "state",
        Column("job", no_wrap=True),
        "its state",
        Column("why", overflow="fold"),
        box=None,
        pad_edge=False,
    )
    with open_client() as client:
        for fired in client.schedules.firings(_id(client, schedule), limit):
            why = fired.reason or ("by hand" if fired.by_hand else "")
            row = (written(fired.fire_at), fired.state, fired.job_id or "", fired.job_state or "", why)
            table.add_row(*map(escape, row))
    console(LISTED).print(table)


@schedules.command()
@click.argument("schedule")
def delete(schedule: str) -> None:
    """Delete a schedule; the jobs that it made stay."""
    with open_client() as client:
        client.schedules.delete(_id(client, schedule))
    click.echo(f"schedule {schedule} deleted")


def _id(client: Client, schedule: str) -> str:
    """The id of a schedule that is given by it or by its name."""
    try:
        return str(UUID(schedule))
    except ValueError:
        found = client.schedules.find(schedule)
    if found is None:
        raise click.ClickException(
            f"you have no schedule {schedule}; `jobyard schedules list` names yours, and another client's"
            " goes by its id: `jobyard schedules list --client '*'`"
        )
    return found.id


def _rhythm(schedule: Schedule) -> str:
    if schedule.cron is not None:
        return f"{schedule.cron} {schedule.timezone}"
    return f"every {schedule.every} s" if schedule.every else f"once at {schedule.at:%FT%TZ}"


def _silence(schedule: Schedule) -> str:
    return "over" if schedule.enabled else "disabled"


def _show(answer: object) -> None:
    Console().print_json(msgspec.json.encode(answer).decode())
