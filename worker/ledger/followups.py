"""What follows from the end of a job: others may begin or must fail, a batch is over, a client is told.

A trigger of `jobs` notes the end of each followed job in `endings`, in the transaction that ends it. A beat
takes notes away and does what follows in one transaction, so that it happens once, whoever dies.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from worker.contract.states import FINAL, State
from worker.ledger.rows import uuid_array

_TAKE = text("""
    DELETE FROM endings WHERE job_id IN (
        SELECT job_id FROM endings ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING job_id
""")

_ENDED = text("""
    SELECT id, client_id, state, callback, batch_id, request_id FROM jobs
    WHERE id = ANY(CAST(:ids AS uuid[]))
""")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A job from whose end something follows."""

    id: UUID
    client_id: UUID
    state: State
    callback: str | None
    batch_id: UUID | None
    request_id: str | None


def take(connection: Connection, limit: int) -> tuple[int, list[Ended]]:
    """Take notes of ends away: how many, and of these the jobs that are still ended.

    One that was run again meanwhile will be noted again.
    """
    ids = connection.execute(_TAKE, {"limit": limit}).scalars().all()
    if not ids:
        return 0, []
    rows = connection.execute(_ENDED, {"ids": uuid_array(ids)}).mappings()
    ended = [Ended(**{**row, "state": State(row["state"])}) for row in rows]
    return len(ids), [job for job in ended if job.state in FINAL]


# ── dependencies ──────────────────────────────────────────────────────────────────────────────────────

_FOLLOW = text("""
    UPDATE jobs SET followed = true
    WHERE id = ANY(CAST(:ids AS uuid[])) AND client_id = :client_id
    RETURNING id, kind, state
""")


class Followed(msgspec.Struct, frozen=True):
    """A job that another one is to wait for."""

    id: UUID
    kind: str
    state: State


def follow(connection: Connection, ids: Collection[UUID], client_id: UUID) -> list[Followed]:
    """Have the ends of a client's jobs noted; what is not the client's is left out.

    The rows stay locked, so a job that is not final here ends after the caller's transaction.
    """
    if not ids:
        return []
    rows = connection.execute(_FOLLOW, {"ids": uuid_array(sorted(ids)), "client_id": client_id})
    return [Followed(row.id, row.kind, State(row.state)) for row in rows]


_MET = text("""
    DELETE FROM dependencies WHERE after_id = ANY(CAST(:ids AS uuid[])) RETURNING job_id
""")

_RELEASE = text("""
    WITH met AS (
        SELECT id, count(*) AS times FROM unnest(CAST(:ids AS uuid[])) AS m (id) GROUP BY id
    )
    UPDATE jobs j
    SET waits_for = j.waits_for - met.times,
        due_at = CASE WHEN j.waits_for = met.times THEN coalesce(j.scheduled_at, now()) ELSE j.due_at END
    FROM met
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = met.id AND j.state = 'scheduled'
""")


def release(connection: Connection, succeeded: Sequence[UUID]) -> None:
    """Let jobs wait for so many fewer; one that waits for none becomes due."""
    waiting = connection.execute(_MET, {"ids": uuid_array(succeeded)}).scalars().all() if succeeded else ()
    if waiting:
        connection.execute(_RELEASE, {"ids": uuid_array(waiting)})


_FAIL = text("""
    UPDATE jobs SET state = 'failed', finished_at = now(),
                    error = json_build_object('type', 'DependencyFailed', 'message',
                        'a job that had to succeed before this one did not')
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'scheduled' AND waits_for > 0
""")

_NO_LONGER = text("DELETE FROM dependencies WHERE job_id = ANY(CAST(:ids AS uuid[]))")


def fail_dependents(connection: Connection, failed: Sequence[UUID]) -> None:
    """Scheduled → failed, for those that waited for a job that ended otherwise."""
    waiting = connection.execute(_MET, {"ids": uuid_array(failed)}).scalars().all() if failed else ()
    if waiting:
        words = {"ids": uuid_array(waiting)}
        connection.execute(_FAIL, words)
        connection.execute(_NO_LONGER, words)
