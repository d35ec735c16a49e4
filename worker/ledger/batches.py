"""Batches: jobs submitted together and watched as one."""

from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, text

from worker.contract.states import State
from worker.ledger.rows import uuid_array
from worker.ledger.tables import batches


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


def find(connection: Connection, batch_id: UUID, client_id: UUID) -> RowMapping | None:
    """A client's batch."""
    wanted = select(batches).where(batches.c.id == batch_id, batches.c.client_id == client_id)
    return connection.execute(wanted).mappings().one_or_none()


_COUNTS = text("SELECT state, count(*) AS jobs FROM jobs WHERE batch_id = :id GROUP BY state")


def counts(connection: Connection, batch_id: UUID) -> Mapping[State, int]:
    """How many of its jobs are in which state."""
    return {State(row.state): row.jobs for row in connection.execute(_COUNTS, {"id": batch_id})}


_MEMBERS = text("""
    SELECT id FROM jobs WHERE batch_id = :id AND state IN ('scheduled', 'queued', 'running', 'retrying')
    ORDER BY id LIMIT :limit
""")


def live_jobs(connection: Connection, batch_id: UUID, limit: int) -> list[UUID]:
    """Its jobs that have not ended, at most so many."""
    return list(connection.execute(_MEMBERS, {"id": batch_id, "limit": limit}).scalars())


_FINISH = text("""
    UPDATE batches b SET finished_at = now()
    WHERE b.id = ANY(CAST(:ids AS uuid[])) AND b.finished_at IS NULL
      AND NOT EXISTS (SELECT FROM jobs j WHERE j.batch_id = b.id
                      AND j.state IN ('scheduled', 'queued', 'running', 'retrying'))
    RETURNING b.id, b.client_id, b.callback
""")


def finish(connection: Connection, ids: Collection[UUID]) -> list[RowMapping]:
    """Mark those of the batches as finished whose jobs have all ended: once for each batch."""
    if not ids:
        return []
    return list(connection.execute(_FINISH, {"ids": uuid_array(sorted(ids))}).mappings())
