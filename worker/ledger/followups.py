"""What follows from the end of a job: others may begin or must fail, a batch is over, a client is told.

A trigger of `jobs` notes the end of each followed job in `endings`, in the transaction that ends it. A beat
takes notes away and does what follows in one transaction, so that it happens once, whoever dies.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, TextClause, text

from worker.contract.states import FINAL, State
from worker.ledger.rows import uuid_array

_TAKE = text("""
    DELETE FROM endings WHERE job_id IN (
        SELECT job_id FROM endings ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING job_id, tell
""")

_ENDED = text("""
    SELECT id, client_id, kind, state, finished_at, callback, batch_id, request_id FROM jobs
    WHERE id = ANY(CAST(:ids AS uuid[]))
""")


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A job from whose end something follows."""

    id: UUID
    client_id: UUID
    kind: str
    state: State
    finished_at: datetime | None  # None: it was run again
    callback: str | None
    batch_id: UUID | None
    request_id: str | None
    tell: bool  # its client was not told of this end yet


class Taken(msgspec.Struct, frozen=True):
    """What notes told that were taken away."""

    count: int  # of the notes
    ended: list[Ended]
    gone: list[UUID]  # jobs that were pruned


def take(connection: Connection, limit: int) -> Taken:
    """Take notes of ends away, and read the jobs that are still ended.

    One that was run again meanwhile will be noted again.
    """
    notes = {row.job_id: row.tell for row in connection.execute(_TAKE, {"limit": limit})}
    if not notes:
        return Taken(0, [], [])
    rows = connection.execute(_ENDED, {"ids": uuid_array(list(notes))}).mappings()
    found = [Ended(**{**row, "state": State(row["state"])}, tell=notes[row["id"]]) for row in rows]
    gone = notes.keys() - {job.id for job in found}
    return Taken(len(notes), [job for job in found if job.state in FINAL], sorted(gone))


# ── dependencies ──────────────────────────────────────────────────────────────────────────────────────

_FIND = text("""
    SELECT id, kind, state FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND client_id = :client_id
""")

# In the order of their ids, so that two who follow the same jobs do not wait for each other.
_LOCK = text("""
    SELECT id, kind, state FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND client_id = :client_id
    ORDER BY id FOR NO KEY UPDATE
""")

_FOLLOW = text("UPDATE jobs SET followed = true WHERE id = ANY(CAST(:ids AS uuid[])) AND NOT followed")


class Followed(msgspec.Struct, frozen=True):
    """A job that another one is to wait for."""

    id: UUID
    kind: str
    state: State


def find(connection: Connection, ids: Collection[UUID], client_id: UUID) -> list[Followed]:
    """A client's jobs as they are for now; what is not the client's is left out."""
    return _followed(connection, _FIND, ids, client_id) if ids else []


def follow(connection: Connection, ids: Collection[UUID], client_id: UUID) -> list[Followed]:
    """Have the ends of a client's jobs noted; what is not the client's is left out.

    The rows stay locked, so a job that is not final here ends after the caller's transaction.
    """
    if not ids:
        return []
    found = _followed(connection, _LOCK, ids, client_id)
    live = [job.id for job in found if job.state not in FINAL]
    if live:
        connection.execute(_FOLLOW, {"ids": uuid_array(live)})
    return found


def _followed(
    connection: Connection, query: TextClause, ids: Collection[UUID], client_id: UUID
) -> list[Followed]:
    rows = connection.execute(query, {"ids": uuid_array(sorted(ids)), "client_id": client_id})
    return [Followed(row.id, row.kind, State(row.state)) for row in rows]


_DEPEND = text("""
    INSERT INTO dependencies (after_id, job_id)
    SELECT * FROM unnest(CAST(:after AS uuid[]), CAST(:ids AS uuid[]))
    ON CONFLICT DO NOTHING
""")


def depend(connection: Connection, pairs: Sequence[tuple[UUID, UUID]]) -> None:
    """Note which jobs wait for which: (after, job)."""
    if pairs:
        after, ids = zip(*pairs, strict=True)
        connection.execute(_DEPEND, {"after": uuid_array(after), "ids": uuid_array(ids)})


_WAITING = text("SELECT id, client_id, after FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")

# A note that waits already is touched: so it is locked, and no beat takes it before it can see who waits.
_NOTE = text("""
    INSERT INTO endings (job_id, tell) SELECT id, false FROM unnest(CAST(:ids AS uuid[])) AS n (id)
    ON CONFLICT (job_id) DO UPDATE SET ended_at = now()
""")


def wait_again(connection: Connection, ids: Sequence[UUID]) -> None:
    """Let jobs that were run again wait for all that they come after, whatever became of those.

    What ended, or was pruned, is noted as if it had ended just now, but nobody is told of that again.
    """
    if not ids:
        return
    pairs: list[tuple[UUID, UUID]] = []
    wanted: dict[UUID, set[UUID]] = {}
    for row in connection.execute(_WAITING, {"ids": uuid_array(ids)}):
        pairs += [(after, row.id) for after in row.after]
        wanted.setdefault(row.client_id, set()).update(row.after)
    depend(connection, pairs)
    for client_id, after in wanted.items():
        live = {job.id for job in follow(connection, after, client_id) if job.state not in FINAL}
        connection.execute(_NOTE, {"ids": uuid_array(sorted(after - live))})


_MET = text("""
    DELETE FROM dependencies WHERE after_id = ANY(CAST(:ids AS uuid[])) RETURNING after_id, job_id
""")

_RELEASE = text("""
    WITH met AS (
        SELECT id, count(*) AS times FROM unnest(CAST(:ids AS uuid[])) AS m (id) GROUP BY id
    )
    UPDATE jobs j
    SET waits_for = j.waits_for - met.times,
        due_at = CASE WHEN j.waits_for = met.times THEN greatest(j.scheduled_at, now()) ELSE j.due_at END
    FROM met
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = met.id AND j.state = 'scheduled'
""")


def release(connection: Connection, succeeded: Sequence[UUID]) -> None:
    """Let jobs wait for so many fewer; one that waits for none becomes due."""
    if succeeded:
        met = connection.execute(_MET, {"ids": uuid_array(succeeded)}).all()
        if met:
            connection.execute(_RELEASE, {"ids": uuid_array([row.job_id for row in met])})


_FAIL = text("""
    UPDATE jobs j SET state = 'failed', finished_at = now(),
                      error = json_build_object('type', 'DependencyFailed', 'message', w.reason)
    FROM unnest(CAST(:ids AS uuid[]), CAST(:reasons AS text[])) AS w (id, reason)
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = w.id AND j.state = 'scheduled' AND j.waits_for > 0
    RETURNING j.id
""")

_NO_LONGER = text("DELETE FROM dependencies WHERE job_id = ANY(CAST(:ids AS uuid[]))")


def fail_dependents(connection: Connection, reasons: Mapping[UUID, str]) -> list[UUID]:
    """Scheduled → failed, for those that waited for a job that ended otherwise.

    Args:
        connection: of an open transaction.
        reasons: for each such job what became of it, in words for the clients of those that waited.

    Returns:
        Those that failed.
    """
    if not reasons:
        return []
    met = connection.execute(_MET, {"ids": uuid_array(list(reasons))}).all()
    waiting = {row.job_id: reasons[row.after_id] for row in met}
    if not waiting:
        return []
    ids = uuid_array(list(waiting))
    failed = connection.execute(_FAIL, {"ids": ids, "reasons": list(waiting.values())}).scalars().all()
    connection.execute(_NO_LONGER, {"ids": ids})
    return list(failed)


# ── what they made ────────────────────────────────────────────────────────────────────────────────────

_RESULTS = text("""
    SELECT j.id, CAST(j.result AS text) AS result,
           (SELECT json_object_agg(a.name, a.id) FROM artifacts a WHERE a.job_id = j.id) AS artifacts
    FROM jobs j
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.client_id = :client_id AND j.state = 'succeeded'
      AND j.payload IS NOT NULL
""")


class Made(msgspec.Struct, frozen=True):
    """What a job that succeeded has made."""

    result: str | None  # JSON
    artifacts: dict[str, str]  # name → id


def made_by(connection: Connection, ids: Collection[UUID], client_id: UUID) -> dict[UUID, Made]:
    """What a client's jobs have made; those that did not succeed, or were cleared, are left out."""
    rows = connection.execute(_RESULTS, {"ids": uuid_array(sorted(ids)), "client_id": client_id})
    return {row.id: Made(row.result, row.artifacts or {}) for row in rows}
