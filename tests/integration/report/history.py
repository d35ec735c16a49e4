"""A ledger with a past: jobs of several kinds over days, most of which went well."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert

from worker.ledger.ids import floor_of
from worker.ledger.partitions import make_ahead
from worker.ledger.tables import attempts, jobs

DAY = date(2026, 3, 10)
DAYS = 3
PER_HOUR = 40

# kind, queue, typical seconds, share that fails, errors
KINDS = (
    ("web.fetch", "web", 1.2, 0.08, ("Retryable", "Fatal", "DeadlineExceeded")),
    ("email.send", "email", 0.4, 0.03, ("Retryable", "Fatal")),
    ("report.render", "report", 9.0, 0.02, ("Fatal",)),
    ("database.load", "database", 45.0, 0.05, ("Fatal", "Retryable")),
    ("upkeep.prune", "upkeep", 3.0, 0.0, ()),
)
_WEIGHTS = (50, 30, 8, 8, 1)
SECRET = "a client's own words"  # in payloads, descriptions, results and messages


def write_history(
    connection: Connection, day: date = DAY, days: int = DAYS, per_hour: int = PER_HOUR
) -> None:
    """Fill the ledger, the same each time."""
    make_ahead(connection, day, days)
    rng = random.Random(7)  # noqa: S311 - the same past each time
    written = list(_jobs(rng, day, days, per_hour))
    connection.execute(insert(jobs), [job for job, _ in written])
    connection.execute(insert(attempts), [attempt for _, made in written for attempt in made])


def _jobs(
    rng: random.Random, day: date, days: int, per_hour: int
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for hour in range(24 * days):
        busy = 0.3 + 0.7 * (8 <= hour % 24 < 19)
        for _ in range(int(per_hour * busy * rng.uniform(0.8, 1.2))):
            yield _job(rng, begin + timedelta(hours=hour, seconds=rng.uniform(0, 3600)))


def _job(rng: random.Random, created: datetime) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    kind, queue, typical, failing, errors = rng.choices(KINDS, _WEIGHTS)[0]
    job_id = UUID(int=floor_of(created).int | 7 << 76 | 2 << 62 | rng.getrandbits(62))
    made, start, outcome = [], created + timedelta(seconds=rng.expovariate(1 / 0.8)), "succeeded"
    for attempt in range(1, 4):
        end = start + timedelta(seconds=rng.lognormvariate(0, 0.6) * typical)
        wrong = rng.choice(errors) if rng.random() < failing * 3 ** (attempt - 1) else None
        made.append(_attempt(job_id, attempt, start, end, wrong))
        if wrong is None:
            break
        outcome = "failed"
        if wrong == "Fatal" or attempt == 3:
            break
        start = end + timedelta(seconds=5 * attempt)
    outcome = "succeeded" if wrong is None else outcome
    if rng.random() < 0.01:
        outcome = "cancelled"
    job = {
        "id": job_id,
        "client_id": UUID(int=rng.randrange(1, 4)),
        "kind": kind,
        "queue": queue,
        "state": outcome,
        "priority": 1,
        "payload": {"private": SECRET},
        "description": SECRET,
        "attempt": len(made),
        "max_attempts": 3,
        "created_at": created,
        "due_at": created,
        "started_at": made[-1]["started_at"],
        "finished_at": made[-1]["ended_at"],
        "result": {"private": SECRET} if outcome == "succeeded" else None,
        "error": made[-1]["error"] if outcome == "failed" else None,
    }
    return job, made


def _attempt(job_id: UUID, attempt: int, start: datetime, end: datetime, wrong: str | None) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "attempt": attempt,
        "outcome": "failed" if wrong else "succeeded",
        "worker": "worker@host",
        "started_at": start,
        "ended_at": end,
        "error": {"type": wrong, "message": SECRET} if wrong else None,
    }
