"""The partitions of jobs and what follows them: one a day, made ahead, dropped behind.

An id carries its time, so the bounds are ids. The default partition takes what a skewed clock put
elsewhere; making a partition first moves its strays out of there.
"""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from worker.ledger.ids import floor_of

PARTITIONED = {"jobs": "id", "attempts": "job_id", "acts": "job_id"}
DAYS_AHEAD = 7

# Rows change state three to five times and then never again: vacuum early, by count and not by share.
_STORAGE = "autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05"

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('jobyard partitions'))")


def reserve(connection: Connection) -> None:
    """Until the transaction ends, be the only one who makes or drops partitions.

    What others did while this waited is visible to the statements that follow.
    """
    connection.execute(_ONE_AT_A_TIME)


def make_ahead(connection: Connection, today: date, days: int = DAYS_AHEAD) -> list[str]:
    """Make the missing partitions of today and the days after it; returns their names."""
    wanted = [
        (f"{table}_{day:%Y%m%d}", table, key, day)
        for day in (today + timedelta(days=ahead) for ahead in range(days + 1))
        for table, key in PARTITIONED.items()
    ]
    if all(exists(connection, name) for name, *_ in wanted):
        return []
    reserve(connection)
    missing = [new for new in wanted if not exists(connection, new[0])]
    for new in missing:
        _make(connection, *new)
    return [name for name, *_ in missing]


_DAYS = text("""
    SELECT right(c.relname, 8) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = CAST('jobs' AS regclass) AND c.relname ~ '^jobs_[0-9]{8}$'
    ORDER BY 1
""")


def days_before(connection: Connection, moment: datetime) -> list[date]:
    """The days that have partitions and lie wholly before a moment, oldest first."""
    names = connection.execute(_DAYS).scalars()
    days = (datetime.strptime(name, "%Y%m%d").replace(tzinfo=UTC).date() for name in names)
    return [day for day in days if day < moment.astimezone(UTC).date()]


def bounds(day: date) -> tuple[UUID, UUID]:
    """The ids of a day: from the first, and below the second."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return floor_of(midnight), floor_of(midnight + timedelta(days=1))


# Not to_regclass: it may answer from a cache that does not know yet what another transaction made.
_EXISTS = text("SELECT EXISTS (SELECT FROM pg_class WHERE relname = :name AND pg_table_is_visible(oid))")


def exists(connection: Connection, name: str) -> bool:
    """Whether there is a table of that name."""
    return bool(connection.execute(_EXISTS, {"name": name}).scalar())


def _make(connection: Connection, name: str, table: str, key: str, day: date) -> None:
    low, high = bounds(day)
    words = {"low": low, "high": high}
    for statement in (
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS) WITH ({_STORAGE})",
        # What strays in between moving and attaching would make the attaching fail.
        f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE",
        f"""WITH strays AS (DELETE FROM {table}_default WHERE {key} >= :low AND {key} < :high RETURNING *)
            INSERT INTO {name} SELECT * FROM strays""",
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')",
    ):
        connection.execute(text(statement), words if ":low" in statement else {})
