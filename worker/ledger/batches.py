"""Batches: jobs submitted together and watched as one."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, TextClause, insert, select, text

from worker.contract.states import State
from worker.ledger import jobs
from worker.ledger.ids import floor_of, time_of
from worker.ledger.rows import uuid_array
from worker.ledger.tables import batches

# Its jobs get their ids right after its own, which tells the partitions that they are in.
_WITHIN = timedelta(hours=1)
_MEMBER = "jobs.batch_id = :id AND jobs.id > :id AND jobs.id < :end"


class NewBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is about to be accepted."""

    id: UUID
    client_id: UUID
    size: int  # jobs
    callback: str | None = None
    tags: list[str] = []


def add(connection: Connection, batch: NewBatch) -> None:
    """Note a batch, in the transaction that enqueues its jobs."""
    connection.execute(insert(batches).values(msgspec.structs.asdict(batch)))


def find(connection: Connection, batch_id: UUID, client_id: UUID | None = None) -> RowMapping | None:
    """A batch, or None where it is unknown or another client's (None: any client's)."""
    wanted = select(batches).where(batches.c.id == batch_id)
    if client_id is not None:
        wanted = wanted.where(batches.c.client_id == client_id)
    return connection.execute(wanted).mappings().one_or_none()


class BatchFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which batches to show; None: any."""

    client_id: UUID | None = None
    finished: bool | None = None
    tag: str | None = None
    created_after: datetime | None = None  # inclusive, to the millisecond of the id
    created_before: datetime | None = None  # exclusive


_BOUNDS = {
    "client_id": "client_id = ANY(ARRAY[CAST(:client_id AS uuid)])",
    "before": "id < :before",
    "floor": "id >= :floor",
    "ceiling": "id < :ceiling",
}
_OPEN = "finished_at IS NULL"  # the condition of an index of a client's batches


def page(connection: Connection, wanted: BatchFilter, size: int, before: UUID | None = None) -> jobs.Page:
    """Batches, newest first, with their jobs not counted; as `worker.ledger.jobs.page`."""
    return jobs.paged(connection, *_statement(wanted, size, before), size)


def _statement(wanted: BatchFilter, size: int, before: UUID | None) -> tuple[TextClause, dict[str, Any]]:
    words = {
        "client_id": wanted.client_id,
        "before": before,
        "floor": wanted.created_after and floor_of(wanted.created_after),
        "ceiling": wanted.created_before and floor_of(wanted.created_before),
        "tag": wanted.tag,
    }
    words = {name: value for name, value in words.items() if value is not None}
    bounds = [sql for name, sql in _BOUNDS.items() if name in words]
    conditions = [":tag = ANY(tags)"] if wanted.tag is not None else []
    if wanted.finished is not None:
        served = not wanted.finished and wanted.client_id is not None
        (bounds if served else conditions).append("finished_at IS NOT NULL" if wanted.finished else _OPEN)
    statement = jobs.PAGE.format(
        source="batches",
        columns="id, client_id, size, tags, created_at, finished_at",
        bounds=" AND ".join(bounds) or "true",
        order=jobs.order_of(words),
        conditions=" AND ".join(conditions) or "true",
    )
    most = jobs.LOOK if conditions else size + 1
    return text(statement), words | {"most": most, "size": size + 1}


_COUNTS = text(f"SELECT state, count(*) AS jobs FROM jobs WHERE {_MEMBER} GROUP BY state")


def counts(connection: Connection, batch_id: UUID) -> Mapping[State, int]:
    """How many of its jobs are in which state."""
    return {State(row.state): row.jobs for row in connection.execute(_COUNTS, _words(batch_id))}


_DUE = text(f"""
    SELECT min(due_at) FROM jobs WHERE {_MEMBER} AND state IN ('scheduled', 'retrying') AND waits_for = 0
""")


def due_at(connection: Connection, batch_id: UUID) -> datetime | None:
    """When the first of its jobs that are scheduled or retrying, and wait for no other job, is due."""
    found: datetime | None = connection.execute(_DUE, _words(batch_id)).scalar_one()
    return found


_MEMBERS = text(f"SELECT id FROM jobs WHERE {_MEMBER} ORDER BY id")


def job_ids(connection: Connection, batch_id: UUID) -> list[UUID]:
    """Its jobs, in the order in which they were submitted."""
    return list(connection.execute(_MEMBERS, _words(batch_id)).scalars())


_LIVE = "state IN ('scheduled', 'queued', 'running', 'retrying')"

_CANCELLABLE = text(f"""
    SELECT id FROM jobs WHERE {_MEMBER} AND {_LIVE} AND cancel_requested_at IS NULL
    ORDER BY id LIMIT :limit
""")


def cancellable(connection: Connection, batch_id: UUID, limit: int) -> list[UUID]:
    """Its jobs that have not ended and that nobody cancelled yet, at most so many."""
    return list(connection.execute(_CANCELLABLE, {**_words(batch_id), "limit": limit}).scalars())


_FINISH = text(f"""
    UPDATE batches SET finished_at = now()
    WHERE id = :id AND finished_at IS NULL
      AND NOT EXISTS (SELECT FROM jobs WHERE {_MEMBER} AND {_LIVE})
    RETURNING id, client_id, callback
""")


def finish(connection: Connection, ids: Collection[UUID]) -> list[RowMapping]:
    """Mark those of the batches as finished whose jobs have all ended: once for each batch."""
    found = [connection.execute(_FINISH, _words(id_)).mappings().one_or_none() for id_ in sorted(ids)]
    return [batch for batch in found if batch is not None]


_FINISHED = text("SELECT id FROM batches WHERE id = ANY(CAST(:ids AS uuid[])) AND finished_at IS NOT NULL")


_LIVES = text(f"SELECT EXISTS (SELECT FROM jobs WHERE {_MEMBER} AND {_LIVE})")


def ended_among(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these ids are those of batches whose jobs have all ended, also where some were run again."""
    finished = connection.execute(_FINISHED, {"ids": uuid_array(list(ids))}).scalars().all()
    return {id_ for id_ in finished if not connection.execute(_LIVES, _words(id_)).scalar_one()}


def _words(batch_id: UUID) -> dict[str, UUID]:
    return {"id": batch_id, "end": floor_of(time_of(batch_id) + _WITHIN)}
