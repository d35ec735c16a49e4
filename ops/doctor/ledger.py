"""The ledger: its server, its schema, its clock, and who works for it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from ops.cli.wording import at_least, brief
from ops.doctor.finding import Finding, guarded
from worker.contract.queues import QUEUES
from worker.ledger import leases, migrate, queues
from worker.ledger.engines import Ledger
from worker.ledger.ids import time_of
from worker.settings import PREFIX, Settings

AWAY = f"see that it runs where {PREFIX}DATABASE_URL says (ops/runbooks/LedgerDown.md)"
_REPLICA_AWAY = f"see that it runs where {PREFIX}DATABASE_READ_URL says; lists and reports are read there"
NO_PLATFORM = "no platform runs here: `jobyard up`, or set its URL"

_OLDEST_POSTGRESQL = 150000
_SKEW = 5.0  # seconds
_LATE = 60.0  # seconds
_FORGOTTEN = timedelta(days=1)  # a queue that is paused for longer

_NEWEST = text("SELECT id, created_at FROM jobs ORDER BY id DESC LIMIT 1")
# Who plans a claim locks every partition with its indexes (ops/decisions/0032).
_LOCKS = text("""
    WITH tables AS (
        SELECT relid FROM pg_partition_tree('jobs') UNION SELECT relid FROM pg_partition_tree('attempts')
    )
    SELECT (SELECT count(*) FROM tables)
             + (SELECT count(*) FROM pg_index JOIN tables ON indrelid = relid) AS needed,
           CAST(current_setting('max_locks_per_transaction') AS int)
             * CAST(current_setting('max_connections') AS int) AS settings,
           (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL) AS sessions
""")
_SHARED = 2  # PostgreSQL has room for so many times its settings' product of holders, where locks are shared
_OVERDUE = text("""
    SELECT EXISTS (SELECT FROM jobs WHERE state IN ('scheduled', 'retrying')
                   AND due_at < now() - :age * interval '1 second')
""")


def examine_ledger(settings: Settings) -> Iterator[Finding]:
    """Look into the ledger."""
    if settings.database_url is None:
        yield Finding("ledger", good=False, text=NO_PLATFORM)
    else:
        yield from guarded("ledger", lambda: _examine(settings), AWAY)
        if settings.database_read_url is not None:
            yield from guarded("replica", lambda: _examine_replica(settings), _REPLICA_AWAY)


def examine_version(subject: str, connection: Connection) -> Iterator[Finding]:
    """Whether a server is one of those that everything here was made for."""
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    found = f"version {version // 10000}; 15 or newer is needed"
    yield Finding(subject, version >= _OLDEST_POSTGRESQL, found)


def _examine(settings: Settings) -> Iterator[Finding]:
    # Not from a replica, which may be late: it would show living workers as silent.
    with closing(Ledger.open(settings, "doctor")) as ledger, ledger.write() as connection:
        yield from examine_version("PostgreSQL", connection)
        current, needed = migrate.pending(connection)
        advice = "" if current == needed else "; run `jobyard migrate`"
        yield Finding("migrations", current == needed, f"at {current}, needed is {needed}{advice}")
        clock = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        skew = abs((datetime.now(UTC) - clock).total_seconds())
        yield Finding("clock", skew < _SKEW, f"{skew:.1f} s from the ledger's; keep them by NTP")
        yield from _examine_locks(connection)
        yield from _examine_ids(connection)
        yield from _examine_due(connection)
        yield from _examine_paused(connection)
        yield from _examine_late(connection)
        yield from _examine_queues(set(leases.consuming(connection, settings.lease)))


def _examine_replica(settings: Settings) -> Iterator[Finding]:
    with closing(Ledger.open(settings, "doctor")) as ledger, ledger.read() as connection:
        yield from examine_version("replica", connection)


def _examine_locks(connection: Connection) -> Iterator[Finding]:
    row = connection.execute(_LOCKS).one()
    yield room_for_locks(row.needed, row.settings, row.sessions)


def room_for_locks(needed: int, settings: int, sessions: int) -> Finding:
    """Whether all sessions can plan a claim at once, as they do when a partition was made.

    Args:
        needed: locks of one session.
        settings: the product of PostgreSQL's `max_locks_per_transaction` and `max_connections`.
        sessions: that are open.
    """
    fit = _SHARED * settings // needed
    text = f"room for {fit} sessions that plan a claim at once, and {sessions} are open"
    advice = "; set PostgreSQL's max_locks_per_transaction to 256 or more, and restart it"
    return Finding("locks", fit >= sessions, text if fit >= sessions else text + advice)


def _examine_ids(connection: Connection) -> Iterator[Finding]:
    """Ids carry the time of the machine that made them, and find their partition by it."""
    newest = connection.execute(_NEWEST).one_or_none()
    if newest is None:
        return
    ahead = (time_of(newest.id) - newest.created_at).total_seconds()
    advice = (
        f"a client's job was given an id {ahead:.1f} s ahead of the ledger's clock; keep those of APIs by NTP"
    )
    good = ahead < _SKEW
    yield Finding("clock of ids", good, "not ahead of the ledger's" if good else advice)


def _examine_due(connection: Connection) -> Iterator[Finding]:
    late = connection.execute(_OVERDUE, {"age": _LATE}).scalar_one()
    advice = (
        f"jobs that were due {_LATE:.0f} s ago are not queued: start `jobyard beat`, or look into its log"
    )
    yield Finding("beat", not late, advice if late else "nothing is overdue")


def _examine_paused(connection: Connection) -> Iterator[Finding]:
    now = queues.moment(connection)
    for name, pause in queues.paused(connection).items():
        text = (
            f"paused since {pause.since:%FT%TZ} by {pause.by}; `jobyard queues resume {name}` lets it go on"
        )
        yield Finding(f"queue {name}", now - pause.since < _FORGOTTEN, text)


def _examine_late(connection: Connection) -> Iterator[Finding]:
    expected = QUEUES.keys() - queues.paused(connection).keys()
    for name, waiting in sorted(queues.waiting(connection, expected).items()):
        objective = QUEUES[name].objective
        if waiting.age > objective:
            text = (
                f"late: {at_least(waiting.depth)} waiting, the oldest for {brief(waiting.age)}, and its"
                f" objective is {brief(objective)}; `jobyard queues` and ops/runbooks/queues.md tell why"
            )
            yield Finding(f"queue {name}", good=False, text=text)


def _examine_queues(consumed: set[str]) -> Iterator[Finding]:
    idle = sorted(set(QUEUES) - consumed)
    if not idle:
        yield Finding("queues", good=True, text="all consumed")
        return
    text = (
        f"no worker for {', '.join(idle)}: start `jobyard worker {idle[0]}`,"
        " or see why the one there is silent (ops/runbooks/WorkerMissing.md)"
    )
    yield Finding("queues", good=False, text=text)
