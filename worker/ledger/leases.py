"""Leases: one row per worker incarnation, whose heartbeat holds the claims of its jobs."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, text

from worker.ledger.records import Held
from worker.ledger.rows import uuid_array

_RENEW = text("""
    INSERT INTO workers (id, name, host, pid, queues)
    VALUES (:id, :name, :host, :pid, CAST(:queues AS text[]))
    ON CONFLICT (id) DO UPDATE SET heartbeat_at = now(), queues = excluded.queues
""")


def renew(
    connection: Connection, worker_id: UUID, *, name: str, host: str, pid: int, queues: Collection[str]
) -> None:
    """Take the lease, or renew it; a lease that was taken away is taken anew."""
    words = {"id": worker_id, "name": name, "host": host, "pid": pid, "queues": list(queues)}
    connection.execute(_RENEW, words)


_CONSUMERS = text("SELECT queue, count(*) AS workers FROM workers, unnest(queues) AS queue GROUP BY queue")


def consumers(connection: Connection) -> dict[str, int]:
    """How many workers with a lease consume each queue."""
    return {row.queue: row.workers for row in connection.execute(_CONSUMERS)}


_CONSUMING = text("""
    SELECT queue, array_agg(name ORDER BY name) AS names FROM workers, unnest(queues) AS queue
    WHERE heartbeat_at > now() - :lease * interval '1 second' GROUP BY queue
""")


def consuming(connection: Connection, lease: float) -> dict[str, list[str]]:
    """The names of the workers that consume each queue, and whose lease of so many seconds still runs."""
    return {row.queue: row.names for row in connection.execute(_CONSUMING, {"lease": lease})}


_END = text("DELETE FROM workers WHERE id = :id")


def end(connection: Connection, worker_id: UUID) -> None:
    """Give the lease up: the worker stopped, and holds no job any more."""
    connection.execute(_END, {"id": worker_id})


_FORGET = text("""
    DELETE FROM workers w
    WHERE heartbeat_at < now() - :lease * interval '1 second'
      AND NOT EXISTS (SELECT FROM jobs j WHERE j.worker_id = w.id AND j.state = 'running')
""")


def forget_dead(connection: Connection, lease: float) -> int:
    """Delete the leases that ran out and hold no job any more."""
    return connection.execute(_FORGET, {"lease": lease}).rowcount


_HELD = text("""
    SELECT id, claim_token AS token, kind, attempt, attempt - losses - hand_backs AS spent, max_attempts,
           overran, cancel_requested_at IS NOT NULL AS cancel_requested
    FROM jobs WHERE worker_id = :id AND state = 'running'
""")


def held_by(connection: Connection, worker_id: UUID) -> list[Held]:
    """The jobs that run under a worker's name."""
    return [Held(**row) for row in connection.execute(_HELD, {"id": worker_id}).mappings()]


_UNWANTED = text("""
    SELECT w.token
    FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS w (id, token)
    LEFT JOIN jobs j ON j.id = w.id AND j.id = ANY(CAST(:ids AS uuid[]))
    WHERE j.cancel_requested_at IS NOT NULL OR j.state <> 'running' OR j.claim_token IS DISTINCT FROM w.token
""")


def unwanted(connection: Connection, running: Collection[tuple[UUID, UUID]]) -> set[UUID]:
    """Which of these running jobs (id, token) should stop: cancelled, or taken from their worker.

    Returns:
        The tokens: the same job may run here twice, when it was taken away and claimed again.
    """
    ids = [job_id for job_id, _ in running]
    tokens = [token for _, token in running]
    rows = connection.execute(_UNWANTED, {"ids": uuid_array(ids), "tokens": uuid_array(tokens)})
    return set(rows.scalars())
