"""Firings: each occurrence of a schedule is one row, and so one job at most, whatever the number of beats.

A firing has a job, or says why it was skipped, or has neither and waits. Here a schedule is what its firings
call it (`Stored.key`).
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, text

from worker.contract.states import LIVE
from worker.ledger.rows import uuid_array

Occurrence = tuple[str, datetime]  # a schedule, a fire time

_LOOK = 10  # of its last jobs that may still live


class NewFiring(msgspec.Struct, frozen=True, kw_only=True):
    """A fire time that has come."""

    schedule: str
    fire_at: datetime
    job_id: UUID | None = None
    skipped: str | None = None  # why it makes no job
    by_hand: bool = False


_RECORD = text("""
    INSERT INTO firings (schedule, fire_at, job_id, skipped, by_hand)
    SELECT schedule, fire_at, job_id, skipped, by_hand FROM json_to_recordset(CAST(:new AS json))
        AS new (schedule text, fire_at timestamptz, job_id uuid, skipped text, by_hand boolean)
    ON CONFLICT DO NOTHING
    RETURNING schedule, fire_at
""")


def record(connection: Connection, new: Sequence[NewFiring]) -> set[Occurrence]:
    """Note firings, in the transaction of their jobs; returns those that were not noted before."""
    if not new:
        return set()
    rows = connection.execute(_RECORD, {"new": msgspec.json.encode(new).decode()})
    return {(row.schedule, row.fire_at) for row in rows}


_WAITING = text("""
    SELECT schedule, fire_at FROM firings
    WHERE schedule = ANY(CAST(:schedules AS text[])) AND job_id IS NULL AND skipped IS NULL
    ORDER BY fire_at
""")


def waiting(connection: Connection, schedules: Collection[str]) -> Mapping[str, list[datetime]]:
    """The firings of each schedule that wait for its last job to end, oldest first."""
    found: dict[str, list[datetime]] = defaultdict(list)
    if schedules:
        for row in connection.execute(_WAITING, {"schedules": list(schedules)}):
            found[row.schedule].append(row.fire_at)
    return found


def skip_waiting(connection: Connection, schedule: str, reason: str) -> None:
    """Let no firing of a schedule wait any longer: they make no jobs."""
    left = waiting(connection, [schedule]).get(schedule, [])
    release(connection, [NewFiring(schedule=schedule, fire_at=fire_at, skipped=reason) for fire_at in left])


_RELEASE = text("""
    UPDATE firings f SET job_id = new.job_id, skipped = new.skipped, fired_at = now()
    FROM json_to_recordset(CAST(:new AS json))
        AS new (schedule text, fire_at timestamptz, job_id uuid, skipped text)
    WHERE f.schedule = new.schedule AND f.fire_at = new.fire_at AND f.job_id IS NULL AND f.skipped IS NULL
    RETURNING f.schedule, f.fire_at
""")


def release(connection: Connection, ended: Sequence[NewFiring]) -> set[Occurrence]:
    """Let firings wait no more: they have a job, or are skipped after all; returns those that did wait."""
    if not ended:
        return set()
    rows = connection.execute(_RELEASE, {"new": msgspec.json.encode(ended).decode()})
    return {(row.schedule, row.fire_at) for row in rows}


_LAST_JOBS = text("""
    SELECT f.schedule, f.job_id
    FROM unnest(CAST(:schedules AS text[])) AS wanted (schedule)
    CROSS JOIN LATERAL (
        SELECT schedule, job_id FROM firings
        WHERE schedule = wanted.schedule AND job_id IS NOT NULL ORDER BY fire_at DESC LIMIT :look
    ) f
""")

_LIVING = text("""
    SELECT id FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) AND state = ANY(CAST(:live AS text[]))
""")


def living_jobs(connection: Connection, schedules: Collection[str]) -> Mapping[str, list[UUID]]:
    """Which of the last jobs of each schedule have not ended."""
    found: dict[str, list[UUID]] = defaultdict(list)
    if not schedules:
        return found
    last = connection.execute(_LAST_JOBS, {"schedules": list(schedules), "look": _LOOK}).all()
    ids = uuid_array([row.job_id for row in last])
    living = set(connection.execute(_LIVING, {"ids": ids, "live": list(LIVE)}).scalars())
    for row in last:
        if row.job_id in living:
            found[row.schedule].append(row.job_id)
    return found


_PAGE = text("""
    SELECT fire_at, fired_at, job_id, skipped, by_hand FROM firings
    WHERE schedule = :schedule AND fire_at < coalesce(CAST(:before AS timestamptz), 'infinity')
    ORDER BY fire_at DESC LIMIT :size
""")

_STATES = text("SELECT id, state FROM jobs WHERE id = ANY(CAST(:ids AS uuid[]))")


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """A firing of the past."""

    fire_at: datetime
    fired_at: datetime
    job_id: UUID | None
    state: str | None  # of the job; None: there is none, or it was pruned
    skipped: str | None
    by_hand: bool


def page(connection: Connection, schedule: str, size: int, before: datetime | None = None) -> list[Fired]:
    """Firings of a schedule with what became of their jobs, newest first.

    Args:
        connection: of an open transaction.
        schedule: which.
        size: at most so many.
        before: only earlier ones than this: where the last page ended.
    """
    rows = connection.execute(_PAGE, {"schedule": schedule, "before": before, "size": size}).all()
    states = _states(connection, [row.job_id for row in rows if row.job_id])
    return [_fired(row, states.get(row.job_id)) for row in rows]


def _states(connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    if not ids:
        return {}
    return {row.id: row.state for row in connection.execute(_STATES, {"ids": uuid_array(ids)})}


def _fired(row: Row[tuple[object, ...]], state: str | None) -> Fired:
    return Fired(
        fire_at=row.fire_at,
        fired_at=row.fired_at,
        job_id=row.job_id,
        state=state,
        skipped=row.skipped,
        by_hand=row.by_hand,
    )
