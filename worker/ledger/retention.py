"""Retention: the statements that take away what is past it.

Whole days go by partition, everything else in small batches, each in a transaction of its own, so that
pruning never holds up the work. What a job took and made may go before it does. The bytes of artifacts are
deleted after the commit, by whoever calls.
"""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from worker.ledger import partitions
from worker.ledger.ids import floor_of
from worker.ledger.rows import uuid_array

# So many jobs of a day may outlive it and still be moved while everybody waits for the lock.
MOST_SURVIVORS = 10_000

# A scan of a whole day takes longer than a statement may elsewhere. And a lock that others hold is not
# waited for: whoever comes later would have to wait behind.
_PATIENCE = text("SET LOCAL statement_timeout = '30min'; SET LOCAL lock_timeout = '1s'")
_AGO = text("SELECT now() - :age * interval '1 second'")


def begin(connection: Connection, age: float = 0.0) -> datetime:
    """Begin a transaction that prunes; returns the ledger's time of `age` seconds ago."""
    connection.execute(_PATIENCE)
    moment: datetime = connection.execute(_AGO, {"age": age}).scalar_one()
    return moment


# ── whole days ────────────────────────────────────────────────────────────────────────────────────────

_SURVIVORS = text("""
    SELECT id FROM jobs WHERE id >= :low AND id < :high
      AND (state NOT IN ('succeeded', 'failed', 'cancelled') OR finished_at >= :cutoff)
    LIMIT :most
""")


def survivors(connection: Connection, day: date, cutoff: datetime) -> list[UUID] | None:
    """The jobs of a day that must be kept: live ones, and what finished after the cutoff.

    None where they are too many to be moved at once; such a day is pruned in batches.
    """
    low, high = partitions.bounds(day)
    words = {"low": low, "high": high, "cutoff": cutoff, "most": MOST_SURVIVORS + 1}
    ids = list(connection.execute(_SURVIVORS, words).scalars())
    return ids if len(ids) <= MOST_SURVIVORS else None


def count(connection: Connection, day: date) -> int:
    """How many jobs a day has."""
    low, high = partitions.bounds(day)
    counted = text("SELECT count(*) FROM jobs WHERE id >= :low AND id < :high")
    return int(connection.execute(counted, {"low": low, "high": high}).scalar_one())


def drop_day(connection: Connection, day: date, kept: Collection[UUID], since: datetime) -> bool:
    """Drop the partitions of a day; what is kept moves to the default ones.

    Nobody reads or writes a job meanwhile, so nothing is searched for here that no index finds.

    Args:
        connection: of a transaction that `begin` began.
        day: which.
        kept: the jobs that `survivors` named.
        since: when it named them; what was run again after that is kept too.

    Returns:
        False where another pruning was faster.
    """
    partitions.reserve(connection)
    if not partitions.exists(connection, f"jobs_{day:%Y%m%d}"):
        return False
    connection.execute(text("LOCK TABLE " + ", ".join(partitions.PARTITIONED) + " IN ACCESS EXCLUSIVE MODE"))
    ids = uuid_array(list({*kept, *_run_again(connection, day, since)}))
    for table, key in partitions.PARTITIONED.items():
        name = f"{table}_{day:%Y%m%d}"
        connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {name}"))
        move = f"INSERT INTO {table} SELECT * FROM {name} WHERE {key} = ANY(CAST(:ids AS uuid[]))"
        connection.execute(text(move), {"ids": ids})
        connection.execute(text(f"DROP TABLE {name}"))
    return True


def _run_again(connection: Connection, day: date, since: datetime) -> list[UUID]:
    # One branch for each partial index of live jobs.
    live = text(f"""
        SELECT id FROM jobs_{day:%Y%m%d} WHERE state IN ('scheduled', 'retrying')
        UNION SELECT id FROM jobs_{day:%Y%m%d} WHERE state = 'queued' AND published_at IS NULL
        UNION SELECT id FROM jobs_{day:%Y%m%d} WHERE state = 'queued' AND published_at IS NOT NULL
        UNION SELECT id FROM jobs_{day:%Y%m%d} WHERE state = 'running'
        UNION SELECT job_id FROM acts_{day:%Y%m%d} WHERE acted_at >= :since
    """)
    return list(connection.execute(live, {"since": since}).scalars())


_LEFT_ARTIFACTS = text("""
    DELETE FROM artifacts WHERE ctid = ANY (ARRAY(
        SELECT a.ctid FROM artifacts a
        WHERE a.job_id < :before AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = a.job_id)
        LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING id
""")


def delete_left_artifacts(connection: Connection, cutoff: datetime, limit: int) -> list[UUID]:
    """Forget artifacts whose jobs went with their days; returns their ids.

    After the days, and by looking at the jobs that there are: a job that was run again meanwhile keeps its
    own, and what an interrupted pruning left is found by the next one.
    """
    words = {"before": floor_of(cutoff), "limit": limit}
    return list(connection.execute(_LEFT_ARTIFACTS, words).scalars())


# ── batches ───────────────────────────────────────────────────────────────────────────────────────────


def ended_before(
    connection: Connection, partition: str, cutoff: datetime, after: UUID, limit: int
) -> list[UUID]:
    """The next finished jobs of a partition that ended before the cutoff, by id, locked."""
    ended = text(f"""
        SELECT id FROM {partition}
        WHERE id > :after AND state IN ('succeeded', 'failed', 'cancelled') AND finished_at < :cutoff
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    """)
    return list(connection.execute(ended, {"after": after, "cutoff": cutoff, "limit": limit}).scalars())


def delete_jobs(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Delete jobs with their history and artifacts; returns the ids of those artifacts."""
    words = {"ids": uuid_array(ids)}
    for table, key in partitions.PARTITIONED.items():
        delete = f"DELETE FROM {table} WHERE {key} = ANY(CAST(:ids AS uuid[]))"
        connection.execute(text(delete), words)
    return _forget_artifacts(connection, ids)


def _forget_artifacts(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    artifacts = text("DELETE FROM artifacts WHERE job_id = ANY(CAST(:ids AS uuid[])) RETURNING id")
    return list(connection.execute(artifacts, {"ids": uuid_array(ids)}).scalars())


class Rule(NamedTuple):
    """How long what a job took and made is kept: jobs that ended in a state, or of a kind; None: any."""

    age: float  # seconds since its end
    state: str | None = None
    kind: str | None = None


def clearable(
    connection: Connection, partition: str, rules: Sequence[Rule], after: UUID, limit: int
) -> list[UUID]:
    """The next finished jobs of a partition that a rule says to clear and that are not yet, by id, locked."""
    past = text(f"""
        SELECT id FROM {partition} AS job
        WHERE id > :after AND payload IS NOT NULL AND state IN ('succeeded', 'failed', 'cancelled')
          AND EXISTS (
              SELECT FROM unnest(CAST(:ages AS float8[]), CAST(:states AS text[]), CAST(:kinds AS text[]))
                  AS rule (age, state, kind)
              WHERE job.finished_at < now() - rule.age * interval '1 second'
                AND (rule.state IS NULL OR rule.state = job.state)
                AND (rule.kind IS NULL OR rule.kind = job.kind))
        ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    """)
    ages, states, kinds = (list(column) for column in zip(*rules, strict=True))
    words = {"ages": ages, "states": states, "kinds": kinds, "after": after, "limit": limit}
    return list(connection.execute(past, words).scalars())


_CLEAR = text("""
    UPDATE jobs SET payload = NULL, result = NULL, progress = NULL, checkpoint = NULL
    WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def clear_jobs(connection: Connection, ids: Sequence[UUID]) -> list[UUID]:
    """Clear jobs of what they took and made; returns the ids of their artifacts, which are forgotten.

    What happened to them stays: state, history and error.
    """
    connection.execute(_CLEAR, {"ids": uuid_array(ids)})
    return _forget_artifacts(connection, ids)


_FORGET = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {column} < :cutoff LIMIT :limit FOR UPDATE SKIP LOCKED))
"""
_FORGET_KEYS = text(_FORGET.format(table="idempotency_keys", column="created_at"))
_FORGET_BATCHES = text(_FORGET.format(table="batches", column="finished_at"))
_FORGET_UNIQUE_KEYS = text("""
    DELETE FROM unique_keys WHERE ctid = ANY (ARRAY(
        SELECT u.ctid FROM unique_keys u
        WHERE u.created_at < :cutoff AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = u.job_id)
        LIMIT :limit FOR UPDATE SKIP LOCKED))
""")
_FORGET_FIRINGS = text(_FORGET.format(table="firings", column="fire_at"))


def forget_idempotency_keys(connection: Connection, cutoff: datetime, limit: int) -> int:
    """Forget keys that were first used before the cutoff; returns how many."""
    return connection.execute(_FORGET_KEYS, {"cutoff": cutoff, "limit": limit}).rowcount


def forget_batches(connection: Connection, cutoff: datetime, limit: int) -> int:
    """Forget batches that were finished before the cutoff; returns how many."""
    return connection.execute(_FORGET_BATCHES, {"cutoff": cutoff, "limit": limit}).rowcount


def forget_unique_keys(connection: Connection, cutoff: datetime, limit: int) -> int:
    """Forget keys from before the cutoff whose jobs are gone; returns how many."""
    return connection.execute(_FORGET_UNIQUE_KEYS, {"cutoff": cutoff, "limit": limit}).rowcount


def forget_firings(connection: Connection, cutoff: datetime, limit: int) -> int:
    """Forget firings before the cutoff; returns how many."""
    return connection.execute(_FORGET_FIRINGS, {"cutoff": cutoff, "limit": limit}).rowcount


# ── clients' own files ────────────────────────────────────────────────────────────────────────────────

# Payloads name uploads by their ids. Of jobs only live ones are searched: a finished one is about as old as
# the upload that it took. A schedule wants for ever what its jobs will take.
_WANTED = text("""
    WITH live AS (
        SELECT payload FROM jobs WHERE state IN ('scheduled', 'retrying')
        UNION ALL SELECT payload FROM jobs WHERE state = 'queued' AND published_at IS NULL
        UNION ALL SELECT payload FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
        UNION ALL SELECT payload FROM jobs WHERE state = 'running'
        UNION ALL SELECT definition FROM client_schedules
    ), named AS (
        SELECT CAST(found[1] AS uuid) AS id FROM live,
             regexp_matches(CAST(payload AS text), '[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}', 'gi')
                 AS found
    )
    SELECT id FROM artifacts
    WHERE job_id IS NULL AND created_at < :cutoff AND id IN (SELECT id FROM named)
""")

_UPLOADS = text("""
    DELETE FROM artifacts WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM artifacts
        WHERE job_id IS NULL AND created_at < :cutoff AND id <> ALL (CAST(:kept AS uuid[]))
        LIMIT :limit FOR UPDATE SKIP LOCKED))
    RETURNING id
""")


def wanted_uploads(connection: Connection, cutoff: datetime) -> list[UUID]:
    """Clients' files from before the cutoff that the payload of a live job or of a schedule names."""
    if not connection.execute(_UPLOADS_BEFORE, {"cutoff": cutoff}).scalar():
        return []
    return list(connection.execute(_WANTED, {"cutoff": cutoff}).scalars())


_UPLOADS_BEFORE = text("SELECT EXISTS (SELECT FROM artifacts WHERE job_id IS NULL AND created_at < :cutoff)")


def delete_uploads(connection: Connection, cutoff: datetime, kept: Sequence[UUID], limit: int) -> list[UUID]:
    """Forget clients' files from before the cutoff, but for those that are kept; returns their ids."""
    words = {"cutoff": cutoff, "kept": uuid_array(kept), "limit": limit}
    return list(connection.execute(_UPLOADS, words).scalars())


_KNOWN = text("SELECT id FROM artifacts WHERE id = ANY(CAST(:ids AS uuid[]))")


def known_artifacts(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these ids have a record."""
    return set(connection.execute(_KNOWN, {"ids": uuid_array(ids)}).scalars())
