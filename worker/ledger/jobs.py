"""Reading jobs: one by id, many for a list, the states of those that somebody waits for."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, RowMapping, Select, any_, select, text

from worker.contract.states import State
from worker.ledger.clients import Client
from worker.ledger.rows import uuid_array
from worker.ledger.tables import acts, artifacts, attempts, jobs, workers

_LISTED = (
    jobs.c.id,
    jobs.c.kind,
    jobs.c.queue,
    jobs.c.state,
    jobs.c.priority,
    jobs.c.attempt,
    jobs.c.max_attempts,
    jobs.c.created_at,
    jobs.c.scheduled_at,
    jobs.c.expires_at,
    jobs.c.started_at,
    jobs.c.finished_at,
    jobs.c.cancel_requested_at,
    jobs.c.error,
    jobs.c.tags,
)


_BRIEFLY = text("SET LOCAL statement_timeout = '3s'")


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs a list shows; None: any."""

    client_id: UUID | None = None
    state: State | None = None
    kind: str | None = None
    queue: str | None = None
    tag: str | None = None


def find(connection: Connection, job_id: UUID, client_id: UUID | None = None) -> RowMapping | None:
    """A job's whole row, or None where it is unknown or another client's (None: any client's)."""
    wanted = select(jobs).where(jobs.c.id == job_id)
    if client_id is not None:
        wanted = wanted.where(jobs.c.client_id == client_id)
    return connection.execute(wanted).mappings().one_or_none()


_OWNER = text("""
    SELECT j.client_id AS id, coalesce(c.name, '') AS name
    FROM jobs j LEFT JOIN clients c ON c.id = j.client_id WHERE j.id = :id
""")


def owner(connection: Connection, job_id: UUID) -> Client | None:
    """Whose job it is; None where it is unknown. A client that was removed has no name."""
    row = connection.execute(_OWNER, {"id": job_id}).one_or_none()
    return Client(row.id, row.name) if row else None


def history(connection: Connection, job: RowMapping) -> list[Mapping[str, Any]]:
    """The attempts of a job that was found: those that ended, and the one that runs."""
    ended = select(attempts).where(attempts.c.job_id == job["id"]).order_by(attempts.c.attempt)
    entries: list[Mapping[str, Any]] = [dict(row) for row in connection.execute(ended).mappings()]
    if job["state"] == State.RUNNING:
        name = select(workers.c.name).where(workers.c.id == job["worker_id"])
        entries.append(
            {
                "attempt": job["attempt"],
                "outcome": None,
                "worker": connection.execute(name).scalar(),
                "started_at": job["started_at"],
                "ended_at": None,
                "error": None,
            }
        )
    return entries


def acts_on(connection: Connection, job_id: UUID) -> Sequence[RowMapping]:
    """Who cancelled a job or ran it again, and when."""
    wanted = select(acts).where(acts.c.job_id == job_id).order_by(acts.c.acted_at)
    return connection.execute(wanted).mappings().all()


def artifacts_of(connection: Connection, job_id: UUID) -> Sequence[RowMapping]:
    """The artifacts of a job by name."""
    wanted = select(artifacts).where(artifacts.c.job_id == job_id).order_by(artifacts.c.name)
    return connection.execute(wanted).mappings().all()


def page(
    connection: Connection, wanted: JobFilter, size: int, before: UUID | None = None
) -> Sequence[Row[Any]]:
    """Jobs, newest first, without payload, result and history.

    Args:
        connection: of an open transaction.
        wanted: which jobs.
        size: at most so many.
        before: only jobs older than this id: where the last page ended.
    """
    conditions = [
        column == value
        for column, value in (
            (jobs.c.client_id, wanted.client_id),
            (jobs.c.state, wanted.state),
            (jobs.c.kind, wanted.kind),
            (jobs.c.queue, wanted.queue),
        )
        if value is not None
    ]
    if wanted.tag is not None:
        conditions.append(any_(jobs.c.tags) == wanted.tag)
    if before is not None:
        conditions.append(jobs.c.id < before)
    # A filter that fits few jobs reads many; that must not hold a connection for long.
    connection.execute(_BRIEFLY)
    query: Select[Any] = select(*_LISTED).where(*conditions)
    return connection.execute(query.order_by(jobs.c.id.desc()).limit(size)).all()


_ENDED = text("""
    SELECT id FROM jobs
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('succeeded', 'failed', 'cancelled')
""")


def ended_among(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these jobs are in a final state: one statement for all that somebody waits for."""
    return set(connection.execute(_ENDED, {"ids": uuid_array(list(ids))}).scalars())


# One branch for each partial index of live jobs: a condition on the state alone would read the history.
_WAITING = text("""
    SELECT queue, count(*) AS depth, min(due_at) AS oldest
    FROM (SELECT queue, due_at FROM jobs WHERE state = 'queued' AND published_at IS NULL
          UNION ALL
          SELECT queue, due_at FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL) queued
    GROUP BY queue
""")


def waiting_by_queue(connection: Connection) -> dict[str, tuple[int, datetime]]:
    """For each queue how many jobs are queued, and since when the oldest is due."""
    return {row.queue: (row.depth, row.oldest) for row in connection.execute(_WAITING)}


_COUNTS = text("""
    SELECT queue, state, count(*) AS jobs
    FROM (SELECT queue, state FROM jobs WHERE state IN ('scheduled', 'retrying')
          UNION ALL SELECT queue, state FROM jobs WHERE state = 'queued' AND published_at IS NULL
          UNION ALL SELECT queue, state FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
          UNION ALL SELECT queue, state FROM jobs WHERE state = 'running') live
    GROUP BY queue, state
""")


def counts_by_queue(connection: Connection) -> dict[str, Counter[str]]:
    """For each queue how many live jobs are in which state."""
    counts: dict[str, Counter[str]] = {}
    for row in connection.execute(_COUNTS):
        counts.setdefault(row.queue, Counter())[row.state] += row.jobs
    return counts


_BY_CLIENT = text("""
    SELECT client_id, count(*) AS jobs
    FROM (SELECT client_id FROM jobs WHERE state IN ('scheduled', 'retrying')
          UNION ALL SELECT client_id FROM jobs WHERE state = 'queued' AND published_at IS NULL
          UNION ALL SELECT client_id FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL
          UNION ALL SELECT client_id FROM jobs WHERE state = 'running') live
    GROUP BY client_id
""")


def live_by_client(connection: Connection) -> dict[UUID, int]:
    """For each client how many jobs it has that have not ended."""
    return {row.client_id: row.jobs for row in connection.execute(_BY_CLIENT)}


_PAUSED = text("SELECT name, paused_at FROM queues WHERE paused_at IS NOT NULL")


def paused_queues(connection: Connection) -> dict[str, datetime]:
    """The queues that are paused, and since when."""
    return {row.name: row.paused_at for row in connection.execute(_PAUSED)}
