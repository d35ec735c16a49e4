"""Clients and their keys. Every act of these commands is noted in the audit log."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import click
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Connection

from ops.cli.identity import operator
from ops.cli.moments import written
from ops.cli.site import LISTED, console, found_settings, open_ledger
from worker import catalog
from worker.contract import Rights, Scope, Scopes
from worker.ledger import audit
from worker.ledger import clients as ledger_clients
from worker.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class _Patterns(click.ParamType[Rights]):
    """Patterns of kinds, comma-separated."""

    name = "patterns"

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> Rights:
        try:
            return Rights.of(pattern.strip() for pattern in value.split(","))
        except ValueError as error:
            self.fail(str(error))


class _ScopeNames(click.ParamType[Scopes]):
    """Scopes, comma-separated."""

    name = "scopes"

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> Scopes:
        try:
            return Scopes.of(name.strip() for name in value.split(","))
        except ValueError as error:
            self.fail(str(error))


@click.group()
def clients() -> None:
    """Who submits jobs."""


@clients.command("add")
@click.argument("name")
def add_client(name: str) -> None:
    """Create a client."""
    if not _NAME.fullmatch(name):
        raise click.ClickException(f"{name!r} is no name: up to 63 of the characters A-Z a-z 0-9 . _ -")
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        if ledger_clients.add_client(connection, name) is None:
            raise click.ClickException(f"there is a client {name!r} already")
        audit.note(connection, operator(), "client.add", name)
    click.echo(f"client {name} made; `jobyard keys add {name}` gives it a key")


@clients.command("list")
def list_clients() -> None:
    """Show all clients."""
    table = Table("client", "since", box=None)
    with open_ledger(found_settings()) as ledger, ledger.read() as connection:
        for row in ledger_clients.all_clients(connection):
            table.add_row(row["name"], written(row["created_at"]))
    console().print(table)


@clients.command("remove")
@click.argument("name")
@click.confirmation_option(prompt="Its keys end at once; its jobs stay until they are pruned. Remove it?")
def remove_client(name: str) -> None:
    """Delete a client with its keys."""
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        ledger_clients.remove_client(connection, named_client(connection, name).id)
        audit.note(connection, operator(), "client.remove", name)
    click.echo(f"client {name} removed")


@click.group()
def keys() -> None:
    """The API keys of a client; only their digests are stored."""


@keys.command("add")
@click.argument("client")
@click.option("--label", default="", help="What the key is for.")
@click.option("--days", type=click.IntRange(min=1), help="End it after so many days.")
@click.option("--kinds", type=_Patterns(), help="What it may submit: 'email.*,report.render'; all otherwise.")
@click.option(
    "--scopes",
    type=_ScopeNames(),
    help=f"What it may do, of {', '.join(Scope)}; submit,read otherwise. operate reaches all clients' jobs.",
)
@click.option("--force", is_flag=True, help="Take patterns that stand for no kind that is known here.")
def add_key(
    client: str, label: str, days: int | None, kinds: Rights | None, scopes: Scopes | None, *, force: bool
) -> None:
    """Make a key and print it, this once."""
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    settings = found_settings()
    if kinds is not None and not force:
        _require_known(kinds, settings)
    with open_ledger(settings) as ledger, ledger.write() as connection:
        owner = named_client(connection, client)
        key_id, key = ledger_clients.add_key(
            connection, owner.id, label, expires, rights=kinds, scopes=scopes
        )
        _note_new(connection, "key.add", key_id)
    click.echo(key)


@keys.command("list")
@click.argument("client")
def list_keys(client: str) -> None:
    """Show the keys of a client by their first characters."""
    columns = ("begins", "label", "kinds", "scopes", "made", "last used", "expires", "revoked")
    table = Table(
        Column("id", no_wrap=True, min_width=36),
        *(Column(name, overflow="fold") for name in columns),
        box=None,
        pad_edge=False,
    )
    with open_ledger(found_settings()) as ledger, ledger.read() as connection:
        for row in ledger_clients.keys_of(connection, named_client(connection, client).id):
            times = (row["created_at"], row["last_used_at"], row["expires_at"], row["revoked_at"])
            table.add_row(
                str(row["id"]),
                row["hint"] + "…",
                escape(row["label"]),
                str(ledger_clients.rights_of(row["kinds"])),
                str(ledger_clients.scopes_of(row["scopes"])),
                *(written(time) if time else "" for time in times),
            )
    console(LISTED).print(table)


@keys.command("rotate")
@click.argument("key_id", type=click.UUID)
@click.option(
    "--overlap",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="Hours for which the old key is still good.",
)
def rotate_key(key_id: UUID, overlap: float) -> None:
    """Make a key with the rights of another one, which ends soon; print it, this once.

    It is made for as long as the old one was.
    """
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        made = ledger_clients.rotate_key(connection, key_id, overlap * 3600)
        if made is None:
            raise click.ClickException(f"there is no key {key_id} that is still good")
        _note_new(connection, "key.rotate", made[0], old=str(key_id), overlap_hours=overlap)
    click.echo(f"the old key is good for {overlap:g} h more; the new one:", err=True)
    click.echo(made[1])


@keys.command("revoke")
@click.argument("key_id", type=click.UUID)
def revoke_key(key_id: UUID) -> None:
    """End a key; the API may honour it for a few seconds more."""
    with open_ledger(found_settings()) as ledger, ledger.write() as connection:
        if not ledger_clients.revoke_key(connection, key_id):
            raise click.ClickException(f"there is no key {key_id} that could be revoked")
        audit.note(connection, operator(), "key.revoke", str(key_id))
    click.echo(f"key {key_id} revoked")


def _require_known(rights: Rights, settings: Settings) -> None:
    known = catalog.of_clients(catalog.load(settings.kind_packages))
    for pattern in rights.patterns:
        if not any(Rights((pattern,)).allow(kind) for kind in known):
            raise click.ClickException(
                f"{pattern} stands for no kind that is known here: {', '.join(known)};"
                " --force takes it all the same"
            )


def _note_new(connection: Connection, act: str, key_id: UUID, **details: Any) -> None:
    key = ledger_clients.find_key(connection, key_id)
    facts = {name: key[name] for name in ("label", "hint", "kinds", "scopes")}
    expires = key["expires_at"] and key["expires_at"].isoformat()
    audit.note(
        connection, operator(), act, str(key_id), client=key["client"], expires=expires, **facts, **details
    )


def named_client(connection: Connection, name: str) -> ledger_clients.Client:
    """The client of that name, or a sentence that there is none."""
    client = ledger_clients.find_client(connection, name)
    if client is None:
        raise click.ClickException(
            f"there is no client {name!r}; `jobyard clients list` shows those there are"
        )
    return client
