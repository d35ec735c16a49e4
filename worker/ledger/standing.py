"""How the queues stand, for the metrics: what waits and since when, what runs, who works, and whether it may.

One statement whose cost does not follow the backlog: counts stop at a bound, and the age of the oldest job is
looked for at the head of each lane, where dispatch takes the next one from.
"""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, text

from worker.contract.states import Priority

COUNTED = 10_000  # jobs of a queue: what waits beyond them is not counted
_HEAD = 20  # jobs of each lane: the first of them by id need not be the one that has been due for longest


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """One queue."""

    queue: str
    depth: int  # queued jobs, `COUNTED` or a little more at most
    age: float  # seconds for which the oldest of them has been due; 0 where none is queued
    running: int
    workers: int  # whose lease holds
    paused: bool


_READ = text("""
    WITH running AS MATERIALIZED (
        SELECT queue, count(*) AS jobs FROM jobs WHERE state = 'running' GROUP BY queue
    )
    SELECT wanted.name AS queue, published.jobs + unpublished.jobs AS depth,
           coalesce(CAST(extract(epoch FROM now() - least(published.oldest, head.oldest)) AS float), 0)
               AS age,
           coalesce(running.jobs, 0) AS running,
           (SELECT count(*) FROM workers
            WHERE wanted.name = ANY(queues)
              AND heartbeat_at > now() - :lease * interval '1 second') AS workers,
           EXISTS (SELECT FROM queues q WHERE q.name = wanted.name AND paused_at IS NOT NULL) AS paused
    FROM unnest(CAST(:queues AS text[])) AS wanted (name)
    LEFT JOIN running ON running.queue = wanted.name,
    LATERAL (
        SELECT count(*) AS jobs, min(due_at) AS oldest FROM (
            SELECT due_at FROM jobs
            WHERE state = 'queued' AND published_at IS NOT NULL AND queue = wanted.name
            ORDER BY published_at LIMIT :counted) first
    ) published,
    LATERAL (
        SELECT count(*) AS jobs FROM (
            SELECT FROM jobs WHERE state = 'queued' AND published_at IS NULL AND queue = wanted.name
            LIMIT :counted) first
    ) unpublished,
    LATERAL (
        SELECT min(first.due_at) AS oldest
        FROM (VALUES (false), (true)) AS way (alone), unnest(CAST(:ranks AS int[])) AS rank, LATERAL (
            SELECT due_at FROM jobs
            WHERE state = 'queued' AND published_at IS NULL AND queue = wanted.name
              AND wants_alone = way.alone AND priority = rank
            ORDER BY id LIMIT :head) first
    ) head
""")

# Without statistics, or with old ones, the planner would read the whole table for a count that ends early.
_BY_INDEX = text("SET LOCAL enable_seqscan = off")


def read(connection: Connection, queues: Collection[str], lease: float) -> list[Standing]:
    """How each of these queues stands.

    Args:
        connection: of an open transaction.
        queues: which.
        lease: seconds since its last heartbeat for which a worker counts.
    """
    connection.execute(_BY_INDEX)
    words = {"queues": list(queues), "lease": lease, "counted": COUNTED, "head": _HEAD}
    rows = connection.execute(_READ, words | {"ranks": [priority.rank for priority in Priority]})
    return [Standing(**row) for row in rows.mappings()]
