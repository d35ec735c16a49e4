"""Firings: each occurrence of a schedule is one row, and so one job, whatever the number of beats."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

_FIRE = text("""
    INSERT INTO firings (schedule, fire_at, job_id) VALUES (:schedule, :fire_at, :job_id)
    ON CONFLICT DO NOTHING
""")


def record_firing(connection: Connection, schedule: str, fire_at: datetime, job_id: UUID) -> bool:
    """Note that a firing made this job; False where another beat made it already."""
    words = {"schedule": schedule, "fire_at": fire_at, "job_id": job_id}
    return connection.execute(_FIRE, words).rowcount > 0


_SETTLED = text("""
    INSERT INTO schedules (name, fired_until) VALUES (:name, now())
    ON CONFLICT (name) DO UPDATE SET name = excluded.name
    RETURNING fired_until, now() AS now
""")


def settled_until(connection: Connection, schedule: str) -> tuple[datetime, datetime]:
    """(until when the schedule's fire times are settled, the ledger's time).

    A schedule that is new begins now: it owes nothing for the time before it existed.
    """
    row = connection.execute(_SETTLED, {"name": schedule}).one()
    return row.fired_until, row.now


_SETTLE = text("UPDATE schedules SET fired_until = greatest(fired_until, :until) WHERE name = :name")


def settle(connection: Connection, schedule: str, until: datetime) -> None:
    """Note that every fire time up to here has its job or was skipped on purpose."""
    connection.execute(_SETTLE, {"name": schedule, "until": until})
