"""The queues as an operator sees and steers them: what waits, what runs, how fast, and whether it is paused.

However large the backlog and the history are, a look costs the same: counts stop at a bound, and rates are
measured on the newest jobs. `ops/decisions/0025` has the figures.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from worker.contract.states import Priority
from worker.ledger.ids import floor_of, time_of
from worker.ledger.rows import uuid_array

COUNTED = 10_000  # jobs: what waits beyond them in a queue is not counted
WINDOW = 60.0  # seconds over which rates are measured
_HEAD = 20  # jobs of each lane: the first of them by id need not be the one that has been due for longest
_NEWEST = 20_000  # accepted jobs that are looked at: where there are more in the window, it is shorter
_SAMPLE = 2_000  # of the jobs whose attempts ended in the window


class Waiting(msgspec.Struct, frozen=True):
    """What waits in a queue."""

    depth: int  # queued jobs, `COUNTED` at most
    oldest: datetime | None  # since when the one is due that has waited for longest
    age: float  # seconds since then, by the ledger's clock


class Pause(msgspec.Struct, frozen=True):
    """Nothing of the queue is published or claimed."""

    since: datetime
    by: str | None


class Rate(msgspec.Struct, frozen=True):
    """Jobs a minute, lately."""

    accepted: float = 0.0
    finished: float = 0.0  # by a worker, in whatever final state
    failed: float = 0.0  # of those


# Without statistics, or with old ones, the planner would read the whole table for a count that ends early.
_BY_INDEX = text("SET LOCAL enable_seqscan = off")

# One branch for each partial index of queued jobs, in its order, or the planner would go by the ids.
_UNPUBLISHED = "state = 'queued' AND published_at IS NULL AND queue ="
_PUBLISHED = "state = 'queued' AND published_at IS NOT NULL AND queue ="
_AS_DISPATCHED = "ORDER BY wants_alone, priority DESC, id"
_AS_PUBLISHED = "ORDER BY published_at"

# What is counted may all be of a high priority: the oldest of another stands at the head of its own lane,
# found by the priority: by the id alone the planner would search a whole day for an empty lane.
_WAITING = text(f"""
    SELECT name, least(found, :counted) AS depth, oldest, extract(epoch FROM now() - oldest) AS age
    FROM unnest(CAST(:queues AS text[])) AS wanted (name), LATERAL (
        SELECT count(*) FILTER (WHERE counted) AS found, min(due_at) AS oldest FROM (
            (SELECT due_at, true AS counted FROM jobs
             WHERE {_UNPUBLISHED} name {_AS_DISPATCHED} LIMIT :counted)
            UNION ALL
            (SELECT due_at, true FROM jobs WHERE {_PUBLISHED} name {_AS_PUBLISHED} LIMIT :counted)
            UNION ALL
            SELECT head.due_at, false
            FROM unnest(ARRAY[false, true]) AS lane (alone), unnest(CAST(:ranks AS int[])) AS rank, LATERAL (
                SELECT due_at FROM jobs
                WHERE {_UNPUBLISHED} name AND wants_alone = lane.alone AND priority <= rank
                ORDER BY priority DESC, id LIMIT :head) head
        ) AS first) waiting
""")


def waiting(connection: Connection, queues: Collection[str]) -> dict[str, Waiting]:
    """How much waits in each of these queues, and since when."""
    connection.execute(_BY_INDEX)
    words = {"queues": list(queues), "counted": COUNTED, "head": _HEAD}
    rows = connection.execute(_WAITING, words | {"ranks": [priority.rank for priority in Priority]})
    return {row.name: Waiting(row.depth, row.oldest, max(0.0, float(row.age or 0))) for row in rows}


_RUNNING = text("SELECT queue, count(*) AS jobs FROM jobs WHERE state = 'running' GROUP BY queue")


def running(connection: Connection) -> dict[str, int]:
    """How many jobs of each queue run: never more than workers have slots."""
    connection.execute(_BY_INDEX)
    return {row.queue: row.jobs for row in connection.execute(_RUNNING)}


_PAUSED = text("SELECT name, paused_at, paused_by FROM queues WHERE paused_at IS NOT NULL")


def paused(connection: Connection) -> dict[str, Pause]:
    """The queues that are paused."""
    return {row.name: Pause(row.paused_at, row.paused_by) for row in connection.execute(_PAUSED)}


# ── rates ─────────────────────────────────────────────────────────────────────────────────────────────

_ACCEPTED = text("""
    WITH newest AS MATERIALIZED (
        SELECT id, queue FROM jobs WHERE id >= :floor ORDER BY id DESC LIMIT :most
    )
    SELECT queue, count(*) AS jobs,
           (SELECT count(*) FROM newest) AS looked_at, (SELECT id FROM newest ORDER BY id LIMIT 1) AS oldest
    FROM newest GROUP BY queue
""")

_ENDED = text("""
    SELECT job_id, count(*) OVER () AS ended
    FROM (SELECT DISTINCT job_id FROM attempts
          WHERE ended_at >= now() - :window * interval '1 second') lately
    ORDER BY random() LIMIT :sample
""")

_FINISHED = text("""
    SELECT queue, count(*) AS finished, count(*) FILTER (WHERE state = 'failed') AS failed FROM jobs
    WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at >= now() - :window * interval '1 second'
    GROUP BY queue
""")


def rates(connection: Connection) -> dict[str, Rate]:
    """How fast each queue moves: exact while it is slow, and an estimate where thousands pass in a window."""
    accepted, finished = _accepted(connection), _finished(connection)
    return {
        name: Rate(accepted.get(name, 0.0), *finished.get(name, (0.0, 0.0)))
        for name in accepted.keys() | finished.keys()
    }


def _accepted(connection: Connection) -> Mapping[str, float]:
    now = datetime.now(UTC)  # which made the ids
    floor = floor_of(now - timedelta(seconds=WINDOW))
    rows = connection.execute(_ACCEPTED, {"floor": floor, "most": _NEWEST}).all()
    return {row.queue: row.jobs * _per_minute(row.looked_at, row.oldest, now) for row in rows}


def _per_minute(looked_at: int, oldest: UUID, now: datetime) -> float:
    """What one job counts for; of a crowd in one moment it is not less than a second that it took."""
    seconds = WINDOW if looked_at < _NEWEST else max(1.0, (now - time_of(oldest)).total_seconds())
    return 60.0 / seconds


def _finished(connection: Connection) -> Mapping[str, tuple[float, float]]:
    rows = connection.execute(_ENDED, {"window": WINDOW, "sample": _SAMPLE}).all()
    if not rows:
        return {}
    weight = rows[0].ended / len(rows) * 60.0 / WINDOW
    ids = uuid_array([row.job_id for row in rows])
    found = connection.execute(_FINISHED, {"ids": ids, "window": WINDOW})
    return {row.queue: (row.finished * weight, row.failed * weight) for row in found}


# ── acts of operators ─────────────────────────────────────────────────────────────────────────────────

_PAUSE = text("""
    INSERT INTO queues (name, paused_at, paused_by) VALUES (:name, now(), :actor)
    ON CONFLICT (name) DO UPDATE SET paused_at = now(), paused_by = :actor WHERE queues.paused_at IS NULL
""")


def pause(connection: Connection, name: str, actor: str) -> bool:
    """From the commit on nothing of the queue is claimed; what runs goes on. False: it was paused already."""
    return connection.execute(_PAUSE, {"name": name, "actor": actor}).rowcount > 0


_RESUME = text("""
    UPDATE queues SET paused_at = NULL, paused_by = NULL WHERE name = :name AND paused_at IS NOT NULL
""")


def resume(connection: Connection, name: str) -> bool:
    """Let it be claimed again; `messages.forget_queue` is to follow. False: it was not paused."""
    return connection.execute(_RESUME, {"name": name}).rowcount > 0


_NOW = text("SELECT clock_timestamp()")


def moment(connection: Connection) -> datetime:
    """What time it is for the ledger."""
    now: datetime = connection.execute(_NOW).scalar_one()
    return now


# Locked, so that what is picked is still queued when it is cancelled; what is being claimed is passed over.
_LOCK = "LIMIT :limit FOR UPDATE SKIP LOCKED"
_PICK = (
    text(f"SELECT id FROM jobs WHERE {_PUBLISHED} :queue AND due_at <= :until {_AS_PUBLISHED} {_LOCK}"),
    text(f"SELECT id FROM jobs WHERE {_UNPUBLISHED} :queue AND due_at <= :until {_AS_DISPATCHED} {_LOCK}"),
)


def pick_waiting(connection: Connection, name: str, until: datetime, limit: int) -> list[UUID]:
    """Lock some of the jobs that wait in a queue and were due by a time."""
    connection.execute(_BY_INDEX)
    picked: list[UUID] = []
    for statement in _PICK:
        words = {"queue": name, "until": until, "limit": limit - len(picked)}
        picked += connection.execute(statement, words).scalars()
    return picked


_COUNT = text(f"""
    SELECT count(*) FROM (
        (SELECT FROM jobs WHERE {_PUBLISHED} :queue AND due_at <= :until {_AS_PUBLISHED} LIMIT :limit)
        UNION ALL
        (SELECT FROM jobs WHERE {_UNPUBLISHED} :queue AND due_at <= :until {_AS_DISPATCHED} LIMIT :limit)
    ) AS first
""")


def count_waiting(connection: Connection, name: str, until: datetime, limit: int) -> int:
    """How many `pick_waiting` would find, counted up to a limit."""
    connection.execute(_BY_INDEX)
    words = {"queue": name, "until": until, "limit": limit}
    return min(limit, int(connection.execute(_COUNT, words).scalar_one()))
