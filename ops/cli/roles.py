"""Each role alone: what the supervisor, a container or a service manager starts.

A role's process becomes the program that does the work (gunicorn, Celery, Flower) by `exec`, so that its
signals and its exit status are that program's own.
"""

import os
import sys
from importlib.resources import files
from pathlib import Path

import click
from sqlalchemy import Connection

from ops.cli.site import open_ledger, read_settings
from worker import logs
from worker.broker import is_redis
from worker.contract.queues import ISOLATION, POOLS, QUEUES
from worker.ledger import clients as ledger_clients
from worker.ledger import migrate as migration
from worker.settings import Settings


@click.command()
@click.option(
    "--first-key",
    type=click.Path(path_type=Path),
    help="Make a client and its key, and write the key to this file, unless the file is there.",
)
def migrate(first_key: Path | None) -> None:
    """Bring the ledger's schema to the version of this code."""
    settings = read_settings()
    with open_ledger(settings) as ledger, ledger.write() as connection:
        before, after = migration.pending(connection)
        migration.upgrade(connection)
        if first_key is not None:
            _make_first_key(connection, first_key)
    click.echo(f"ledger at version {after}" + ("" if before == after else f", was {before or 'empty'}"))


@click.command()
def api() -> None:
    """Serve the HTTP API (gunicorn)."""
    _require_servers(read_settings())
    config = files("api") / "gunicorn.conf.py"
    _become("-m", "gunicorn", "--config", str(config))


@click.command()
@click.argument("queues", nargs=-1, required=True, type=click.Choice(sorted(QUEUES)), metavar="QUEUE...")
@click.option("--concurrency", "-c", type=click.IntRange(min=1), help="Jobs at once; the table's otherwise.")
@click.option("--pool", "-P", type=click.Choice(POOLS), help="The kind of pool; the table's otherwise.")
def worker(queues: tuple[str, ...], concurrency: int | None, pool: str | None) -> None:
    """Run the jobs of one or more queues (Celery).

    The first queue's row of the queue table says pool, concurrency and prefetch.
    """
    settings = read_settings()
    _require_servers(settings)
    row = QUEUES[queues[0]]
    kind_of_pool = _pool(queues, pool, settings)
    words = [
        *("-A", "worker.celery", "worker"),
        *("--queues", ",".join(queues)),
        *("--pool", kind_of_pool),
        *("--concurrency", str(concurrency or settings.worker_concurrency or row.concurrency)),
        *("--hostname", f"{queues[0]}@%h"),
        # Workers learn of each other from the ledger: gossip and mingling only delay the start.
        *("--without-gossip", "--without-mingle"),
    ]
    if row.prefetch:
        words += ["--prefetch-multiplier", str(row.prefetch)]
    elif is_redis(settings.broker_url or ""):
        words += ["--disable-prefetch"]
    else:
        words += ["--prefetch-multiplier", "1"]
    _become("-m", "celery", *words)


@click.command()
def beat() -> None:
    """Do what time makes due: dispatch, rescue, reconcile, schedules (Celery beat). Any number may run."""
    _require_servers(read_settings())
    _become("-m", "celery", "-A", "schedules.beat", "beat", "--scheduler", "schedules.beat:JobyardScheduler")


@click.command()
def flower() -> None:
    """Show workers and tasks to operators, behind a login (Flower)."""
    settings = read_settings()
    _require_servers(settings)
    if not settings.flower_password:
        raise click.ClickException("Flower is never open: set JOBYARD_FLOWER_PASSWORD")
    logs.set_up(settings, "flower")
    # The login must not stand in the list of processes, so it goes by the environment.
    login = {"FLOWER_BASIC_AUTH": f"{settings.flower_user}:{settings.flower_password}"}
    address = [f"--address={settings.flower_host}", f"--port={settings.flower_port}"]
    _become("-m", "celery", "-A", "ops.flower", "flower", *address, **login)


def _pool(queues: tuple[str, ...], asked: str | None, settings: Settings) -> str:
    if ISOLATION.name not in queues:
        return asked or settings.worker_pool or QUEUES[queues[0]].pool
    # Its jobs must have a process for themselves: in a shared one they would never be claimed.
    if (asked or QUEUES[queues[0]].pool) != ISOLATION.pool:
        raise click.ClickException(f"the queue {ISOLATION.name} needs a worker with --pool {ISOLATION.pool}")
    return ISOLATION.pool


def _make_first_key(connection: Connection, path: Path) -> None:
    if path.exists():
        return
    client = ledger_clients.ensure_client(connection, "first")
    _, key = ledger_clients.add_key(connection, client.id, "made by the first `jobyard up`")
    # The file comes before the commit: a key that nobody knows is worth nothing.
    path.touch(mode=0o600)
    path.write_text(key + "\n")


def _require_servers(settings: Settings) -> None:
    for name in ("database_url", "broker_url"):
        if getattr(settings, name) is None:
            raise click.ClickException(f"set JOBYARD_{name.upper()}, or let `jobyard up` run this role")


def _become(*words: str, **variables: str) -> None:
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *words], {**os.environ, **variables})  # noqa: S606 - no shell
