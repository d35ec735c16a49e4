"""The ledger: its server, its schema, its clock, and who works for it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from ops.doctor.finding import Finding, guarded
from worker.contract.queues import QUEUES
from worker.ledger import migrate
from worker.ledger.engines import Ledger
from worker.settings import Settings

NO_PLATFORM = "no platform runs here: `jobyard up`, or set its URL"

_OLDEST_POSTGRESQL = 150000
_SKEW = 5.0  # seconds

_CONSUMED = text("SELECT DISTINCT unnest(queues) FROM workers WHERE heartbeat_at > now() - interval '30 s'")


def examine_ledger(settings: Settings) -> Iterator[Finding]:
    """Look into the ledger."""
    if settings.database_url is None:
        yield Finding("ledger", good=False, text=NO_PLATFORM)
    else:
        yield from guarded("ledger", lambda: _examine(settings))


def examine_version(subject: str, connection: Connection) -> Iterator[Finding]:
    """Whether a server is one of those that everything here was made for."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    found = f"version {version // 10000}; 15 or newer is needed"
    yield Finding(subject, version >= _OLDEST_POSTGRESQL, found)


def _examine(settings: Settings) -> Iterator[Finding]:
    with closing(Ledger.open(settings, "doctor")) as ledger, ledger.read() as connection:
        yield from examine_version("PostgreSQL", connection)
        current, needed = migrate.pending(connection)
        advice = "" if current == needed else "; run `jobyard migrate`"
        yield Finding("migrations", current == needed, f"at {current}, needed is {needed}{advice}")
        clock = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        skew = abs((datetime.now(UTC) - clock).total_seconds())
        yield Finding("clock", skew < _SKEW, f"{skew:.1f} s from the ledger's; keep them by NTP")
        yield from _examine_queues(set(connection.execute(_CONSUMED).scalars()))


def _examine_queues(consumed: set[str]) -> Iterator[Finding]:
    idle = sorted(set(QUEUES) - consumed)
    advice = f"no worker for {', '.join(idle)}: start `jobyard worker {idle[0]}`" if idle else "all consumed"
    yield Finding("queues", not idle, advice)
