"""The ledger's schema: the step that comes before every role."""

import time
from pathlib import Path

import click
from sqlalchemy import Connection

from ops.cli.environment import read_settings
from ops.cli.identity import operator
from ops.cli.site import open_ledger
from ops.cli.waiting import await_ledger
from worker.contract import Scope, Scopes
from worker.ledger import audit
from worker.ledger import clients as ledger_clients
from worker.ledger import migrate as migration
from worker.ledger.engines import Ledger

_TRIES = 30
_PAUSE = 2.0  # seconds between two; meanwhile whoever waited behind us goes on


@click.command()
@click.option(
    "--first-key",
    type=click.Path(path_type=Path),
    help="Make a client and its key, and write the key to this file, unless the file is there.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="How long a ledger that cannot be reached is waited for; inf: until it can.",
)
def migrate(first_key: Path | None, wait: float) -> None:
    """Bring the ledger's schema to the version of this code."""
    settings = read_settings()
    if wait and settings.database_url is not None:
        await_ledger(settings, wait)
    with open_ledger(settings) as ledger:
        before, after = _upgrade(ledger, first_key)
    click.echo(f"ledger at version {after}" + ("" if before == after else f", was {before or 'empty'}"))


def _upgrade(ledger: Ledger, first_key: Path | None) -> tuple[str | None, str | None]:
    for left in reversed(range(_TRIES)):
        try:
            with ledger.write() as connection:
                versions = migration.pending(connection)
                migration.upgrade(connection)
                if first_key is not None:
                    _make_first_key(connection, first_key)
                return versions
        except migration.TablesInUse:
            if left == _TRIES - 1:
                click.echo("waiting for transactions that use the tables", err=True)
            time.sleep(_PAUSE)
    raise click.ClickException(
        "the ledger's tables are in use, so nothing was changed: end what uses them for so long (a backup, a"
        " session that was forgotten: see pg_stat_activity) and run this again"
    )


def _make_first_key(connection: Connection, path: Path) -> None:
    if path.exists():
        return
    client = ledger_clients.ensure_client(connection, "first")
    scopes = Scopes.of([Scope.OPERATE])  # whoever runs a platform on a machine of his own operates it
    key_id, key = ledger_clients.add_key(
        connection, client.id, "made by the first `jobyard up`", scopes=scopes
    )
    audit.note(connection, operator(), "key.add", str(key_id), client=client.name)
    # The file comes before the commit: a key that nobody knows is worth nothing.
    path.touch(mode=0o600)
    path.write_text(key + "\n")
