"""Which queued jobs the broker carries: the marks that dispatch sets and reconcile takes away.

A mark is a belief, not a state: the broker may have lost the message, and a message may come twice. Both
are harmless, for only a claim makes a job run.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, RowMapping, TextClause, text

from worker.contract.states import Priority
from worker.ledger.records import Message
from worker.ledger.rows import uuid_array

_MESSAGE = """
    id, kind, queue, priority, description, request_id, wants_alone,
    shared_losses + alone_losses > 0 OR overran AS suspect
"""

_NEXT_UNPUBLISHED = text("""
    SELECT id FROM jobs
    WHERE state = 'queued' AND published_at IS NULL AND queue = :queue AND wants_alone = :alone
    ORDER BY priority DESC, id LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_MARK_PUBLISHED = text(f"""
    UPDATE jobs SET published_at = now(), publications = publications + 1
    WHERE id = ANY(CAST(:ids AS uuid[]))
    RETURNING {_MESSAGE}
""")


def take_publishable(connection: Connection, queue: str, limit: int, *, alone: bool) -> list[Message]:
    """Mark queued jobs of a queue as published, the highest priority and the oldest first.

    The caller commits and then publishes them; what it fails to publish it gives to `unpublish`.
    """
    words = {"queue": queue, "limit": limit, "alone": alone}
    ids = connection.execute(_NEXT_UNPUBLISHED, words).scalars().all()
    if not ids:
        return []
    rows = connection.execute(_MARK_PUBLISHED, {"ids": uuid_array(ids)})
    messages = [_message(row) for row in rows.mappings()]
    return sorted(messages, key=lambda message: (-message.priority.rank, message.job_id))


# Locked in the order of their ids, as by a claim of several, so that none waits for the other.
_UNPUBLISH = text("""
    WITH unsent AS (
        SELECT id FROM jobs
        WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'queued' AND published_at IS NOT NULL
        ORDER BY id FOR UPDATE
    )
    UPDATE jobs j SET published_at = NULL, publications = greatest(j.publications - 1, 0)
    FROM unsent WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = unsent.id
""")


def unpublish(connection: Connection, ids: Sequence[UUID]) -> None:
    """Note that the broker holds no message of these jobs, so that dispatch publishes them.

    The publication does not count: an outage of the broker must not lengthen the wait of `forget_lanes`.
    """
    connection.execute(_UNPUBLISH, {"ids": uuid_array(ids)})


# What somebody holds a lock on is being claimed, or was not sent yet.
_PUBLISHED = text("""
    SELECT id FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
    ORDER BY queue, published_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_SLICE = 10_000  # jobs in one statement, whose time is limited


def forget_all(connection: Connection) -> int:
    """Note that the broker lost every message; as with `unpublish`, the publications do not count.

    Returns:
        How many jobs were published and not claimed.
    """
    lost = 0
    while True:
        ids = connection.execute(_PUBLISHED, {"limit": _SLICE}).scalars().all()
        unpublish(connection, ids)
        lost += len(ids)
        if len(ids) < _SLICE:  # others go on publishing
            return lost


# Not locked here: who holds a lock may be a claim that is being refused, and `unpublish` waits for it.
_PUBLISHED_OF = text("""
    SELECT id FROM jobs
    WHERE state = 'queued' AND published_at IS NOT NULL AND queue = :queue AND published_at <= :until
    ORDER BY queue, published_at LIMIT :limit
""")


def forget_queue(connection: Connection, queue: str, until: datetime, limit: int) -> int:
    """Note that workers refused the messages of a queue that was paused, as with `forget_all`.

    Args:
        connection: of an open transaction, begun after the one that resumed the queue.
        queue: which.
        until: when it was resumed; what was published later was not refused.
        limit: jobs to mark at most.

    Returns:
        How many were marked: call again while it is the limit.
    """
    words = {"queue": queue, "until": until, "limit": limit}
    ids = connection.execute(_PUBLISHED_OF, words).scalars().all()
    unpublish(connection, ids)
    return len(ids)


# Each step of the recursion finds the next lane with one probe of an index: the backlog of a lane, however
# long, is not read.
_OPEN = text("""
    WITH RECURSIVE lanes AS (
        (SELECT queue, wants_alone FROM jobs WHERE state = 'queued' AND published_at IS NULL
         ORDER BY queue, wants_alone LIMIT 1)
        UNION ALL
        SELECT later.queue, later.wants_alone
        FROM lanes, LATERAL (
            SELECT queue, wants_alone FROM jobs WHERE state = 'queued' AND published_at IS NULL
              AND (queue, wants_alone) > (lanes.queue, lanes.wants_alone)
            ORDER BY queue, wants_alone LIMIT 1) later
    )
    SELECT queue, wants_alone FROM lanes
    WHERE queue NOT IN (SELECT name FROM queues WHERE paused_at IS NOT NULL)
""")


def publishable_lanes(connection: Connection) -> list[tuple[str, bool]]:
    """(queue, alone) of every unpublished queued job whose queue is not paused."""
    return [(row.queue, row.wants_alone) for row in connection.execute(_OPEN)]


# The wait before one job is published again doubles with every publication, so that a job that no worker
# takes does not fill the broker with its copies. (The exponent is bounded, or a power overflows.)
_OVERDUE = """
    state = 'queued' AND published_at IS NOT NULL
    AND published_at < now()
        - least(:age * power(2, least(publications, 20) - 1), greatest(:age, 3600)) * interval '1 second'
"""

# What somebody has locked is being claimed, and is not waited for. In the order of the index, or the limit
# would tempt the planner to read the history by its ids.
_PICK = "ORDER BY queue, published_at LIMIT 10000 FOR UPDATE OF jobs SKIP LOCKED"

_FORGET = text("UPDATE jobs SET published_at = NULL WHERE id = ANY(CAST(:ids AS uuid[]))")


def _forget(connection: Connection, lost: TextClause, words: Mapping[str, object]) -> int:
    ids = connection.execute(lost, words).scalars().all()
    return connection.execute(_FORGET, {"ids": uuid_array(ids)}).rowcount if ids else 0


_LOST_IN_LANES = text(f"""
    SELECT id FROM jobs
    WHERE {_OVERDUE}
      AND CASE WHEN wants_alone THEN :isolation ELSE queue END = ANY(CAST(:lanes AS text[]))
    {_PICK}
""")


def forget_lanes(connection: Connection, lanes: Collection[str], isolation: str, age: float) -> int:
    """Mark what was published to empty queues of the broker, and not claimed, as unpublished.

    Args:
        connection: of an open transaction.
        lanes: the broker's queues that are empty.
        isolation: the broker's queue of jobs that run alone.
        age: seconds since the publication; claims of messages in a worker's hands need a moment.

    Returns:
        How many were marked: not all at once where they are many.
    """
    words = {"lanes": list(lanes), "isolation": isolation, "age": age}
    return _forget(connection, _LOST_IN_LANES, words)


_CLAIMABLE = text("""
    SELECT EXISTS (
        SELECT FROM jobs
        WHERE state = 'queued' AND published_at IS NOT NULL AND (expires_at IS NULL OR expires_at > now())
          AND queue NOT IN (SELECT name FROM queues WHERE paused_at IS NOT NULL)
          AND CASE WHEN wants_alone THEN :isolation ELSE queue END = ANY(CAST(:lanes AS text[])))
""")


def claimable_in(connection: Connection, lanes: Collection[str], isolation: str) -> bool:
    """Whether some published job could be claimed by whoever gets its message.

    Args:
        connection: of an open transaction.
        lanes: queues of the broker.
        isolation: the broker's queue of jobs that run alone.
    """
    return bool(connection.execute(_CLAIMABLE, {"lanes": list(lanes), "isolation": isolation}).scalar_one())


_SAMPLE = 500

_LATELY_ENDED = text("""
    SELECT DISTINCT job_id FROM (
        SELECT job_id FROM attempts
        WHERE ended_at >= now() - (:age + :window) * interval '1 second'
          AND ended_at < now() - :age * interval '1 second'
        ORDER BY random() LIMIT :sample) ended
""")

# Only of a job that was published once, and claimed after it, is it certain that the message of
# `published_at` was the one that a worker took.
_WITNESS = """
    publications = 1 AND started_at > published_at AND started_at < now() - :age * interval '1 second'
"""

_OVERTAKEN = text(f"""
    WITH witness AS (
        SELECT queue, wants_alone, priority, published_at FROM jobs WHERE state = 'running' AND {_WITNESS}
        UNION ALL
        SELECT queue, wants_alone, priority, published_at FROM jobs
        WHERE id = ANY(CAST(:ended AS uuid[])) AND {_WITNESS}
    ), latest AS (
        SELECT queue, wants_alone, priority, max(published_at) AS published_at
        FROM witness GROUP BY queue, wants_alone, priority
    )
    SELECT id FROM jobs
    WHERE {_OVERDUE}
      AND EXISTS (SELECT FROM latest
                  WHERE latest.queue = jobs.queue AND latest.wants_alone = jobs.wants_alone
                    AND latest.priority <= jobs.priority AND latest.published_at > jobs.published_at)
    {_PICK}
""")


def forget_overtaken(connection: Connection, age: float, window: float) -> int:
    """Mark as unpublished what messages of its queue that were published later overtook.

    What was claimed more than `age` seconds ago, from the same queue and of the same or a lower priority,
    is a witness that the broker does not hold an earlier message any more.

    Args:
        connection: of an open transaction.
        age: seconds since the witness was claimed, and since the publication.
        window: seconds between two calls; of the attempts that ended meanwhile a sample bears witness.

    Returns:
        How many were marked: not all at once where they are many.
    """
    words = {"age": age, "window": window, "sample": _SAMPLE}
    ended = connection.execute(_LATELY_ENDED, words).scalars().all()
    return _forget(connection, _OVERTAKEN, {"age": age, "ended": uuid_array(ended)})


_STALE = text(f"SELECT id FROM jobs WHERE {_OVERDUE} {_PICK}")


def forget_stale(connection: Connection, age: float) -> int:
    """Mark as unpublished what no worker claimed for `age` seconds, whatever the broker says."""
    return _forget(connection, _STALE, {"age": age})


def _message(row: RowMapping) -> Message:
    return Message(
        job_id=row["id"],
        kind=row["kind"],
        queue=row["queue"],
        priority=Priority.of_rank(row["priority"]),
        description=row["description"],
        request_id=row["request_id"],
        alone=row["wants_alone"],
        suspect=row["suspect"],
    )
