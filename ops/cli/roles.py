"""Each role alone: what the supervisor, a container or a service manager starts.

A role's process becomes the program that does the work (gunicorn, Celery, Flower, the sink) by `exec`, so
that its signals and its exit status are its own.
"""

import os
import resource
import sys
from importlib.resources import files
from importlib.util import find_spec

import click

from ops.cli.environment import read_settings
from worker.contract.queues import ISOLATION, POOLS, QUEUES, Queue
from worker.settings import Settings, is_redis

_HEARTBEAT = 5  # seconds between two of a worker's events that say that it lives
_SHOWN = 10_000  # tasks that Flower remembers, 5 KB each; its own default would take half a gigabyte
_OFFLINE = 600  # seconds for which Flower shows a worker that is gone: the next one has another name

# Files that a worker may have open: its own, and for each job a connection, what it writes, and two to spare.
_OWN_FILES = 1024
_JOBS_FILES = 4


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
    if find_spec("typst") is None:  # it stands for all that only workers have
        raise ModuleNotFoundError(name="typst")
    _check_definitions(settings)
    row = QUEUES[queues[0]]
    kind_of_pool = _pool(queues, pool, settings)
    slots = concurrency or settings.worker_concurrency or row.concurrency
    _allow_files(_OWN_FILES + _JOBS_FILES * slots)
    words = [
        *("--queues", ",".join(queues)),
        *("--pool", kind_of_pool),
        *("--concurrency", str(slots)),
        # A name of its own: remote control reaches a worker by it, and on RabbitMQ only one can have it.
        *("--hostname", f"{queues[0]}@%h-{os.getpid()}"),
        # For Flower, which counts a worker as gone after twice as long; every two seconds, as Celery has it,
        # they are a twentieth of what an idle platform does.
        *("--heartbeat-interval", str(_HEARTBEAT)),
        # Workers learn of each other from the ledger: gossip and mingling only delay the start.
        *("--without-gossip", "--without-mingle"),
    ]
    _become("-m", "ops.celery", "worker", *words, *_prefetch(row, settings))


@click.command()
def beat() -> None:
    """Do what time makes due: dispatch, rescue, reconcile, schedules (Celery beat). Any number may run."""
    _require_servers(read_settings())
    _become("-m", "ops.celery", "beat", "--scheduler", "schedules.beat:JobyardScheduler")


@click.command()
def flower() -> None:
    """Show workers and tasks to operators, behind a login (Flower)."""
    settings = read_settings()
    _require_servers(settings)
    if not settings.flower_password:
        raise click.ClickException("Flower is never open: set JOBYARD_FLOWER_PASSWORD")
    from worker import logs  # noqa: PLC0415 - here alone, and every role waits for what this module loads

    logs.set_up(settings, "flower")
    # The login must not stand in the list of processes, so it goes by the environment.
    login = {"FLOWER_BASIC_AUTH": f"{settings.flower_user}:{settings.flower_password}"}
    address = [f"--address={settings.flower_host}", f"--port={settings.flower_port}"]
    kept = [f"--max-tasks={_SHOWN}", f"--purge-offline-workers={_OFFLINE}"]
    _become("-m", "ops.celery", "flower", *address, *kept, **login)


@click.command("mail-sink")
def mail_sink() -> None:
    """Store every mail under JOBYARD_HOME and send none on (aiosmtpd), on JOBYARD_MAIL_PORT of loopback."""
    read_settings()  # a bad one ends in a sentence
    if find_spec("aiosmtpd") is None:
        raise click.ClickException("the mail sink needs aiosmtpd: `pip install 'jobyard[embedded]'`")
    _become("-m", "ops.mail")


def _pool(queues: tuple[str, ...], asked: str | None, settings: Settings) -> str:
    if ISOLATION.name not in queues:
        return asked or settings.worker_pool or QUEUES[queues[0]].pool
    # Its jobs must have a process for themselves: in a shared one they would never be claimed.
    if (asked or QUEUES[queues[0]].pool) != ISOLATION.pool:
        raise click.ClickException(f"the queue {ISOLATION.name} needs a worker with --pool {ISOLATION.pool}")
    return ISOLATION.pool


def _check_definitions(settings: Settings) -> None:
    from ops.cli.declared import read_definitions, unset_sources  # noqa: PLC0415 - workers alone need it

    for variable in unset_sources(settings, read_definitions(settings)):
        click.echo(f"{variable} is not set: jobs that need its data source fail on this worker", err=True)


def _prefetch(row: Queue, settings: Settings) -> list[str]:
    if not is_redis(settings.broker_url or ""):
        # With real acknowledgements the messages of running jobs count too.
        return ["--prefetch-multiplier", str(row.prefetch + 1)]
    return ["--prefetch-multiplier", str(row.prefetch)] if row.prefetch else ["--disable-prefetch"]


def _allow_files(wanted: int) -> None:
    """Have so many, or as many as the system lets this process have; it often begins with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _require_servers(settings: Settings) -> None:
    for name in ("database_url", "broker_url"):
        if getattr(settings, name) is None:
            raise click.ClickException(f"set JOBYARD_{name.upper()}, or let `jobyard up` run this role")


def _become(*words: str, **variables: str) -> None:
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, *words], {**os.environ, **variables})  # noqa: S606 - no shell
