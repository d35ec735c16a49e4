"""The full account of one job: its row, attempts, acts and artifacts, read in one statement.

Clients poll it, and those who wait read it when they are woken, thousands at once: one statement costs a
third of what four do.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from worker.contract.states import State

MOST_EVENTS = 100  # attempts, and as many acts: one may cancel and retry a job for ever

# The id stands everywhere as a literal, so that each table is asked for one partition.
_ACCOUNT = text("""
    SELECT j.*,
           (SELECT name FROM workers WHERE id = j.worker_id) AS worker,
           CASE WHEN CAST(:client_id AS uuid) IS NULL
                THEN (SELECT name FROM clients WHERE id = j.client_id) END AS client,
           (SELECT json_agg(a ORDER BY a.attempt)
            FROM (SELECT * FROM attempts WHERE job_id = :id ORDER BY attempt DESC LIMIT :most) a) AS attempts,
           (SELECT json_agg(a ORDER BY a.acted_at)
            FROM (SELECT * FROM acts WHERE job_id = :id ORDER BY acted_at DESC LIMIT :most) a) AS acts,
           (SELECT count(*) FROM attempts WHERE job_id = :id)
             + (SELECT count(*) FROM acts WHERE job_id = :id) AS events,
           (SELECT json_agg(f ORDER BY f.name) FROM artifacts f WHERE f.job_id = :id) AS artifacts
    FROM jobs j
    WHERE j.id = :id AND (CAST(:client_id AS uuid) IS NULL OR j.client_id = :client_id)
""")


def account(connection: Connection, job_id: UUID, client_id: UUID | None) -> Mapping[str, Any] | None:
    """A client's job (None: any client's) with its last `attempts` and `acts`, and its `artifacts`, or None.

    An attempt that runs comes last. `events` counts all attempts and acts that there were; `client` is its
    client's name where any client's job was asked for.
    """
    words = {"id": job_id, "client_id": client_id, "most": MOST_EVENTS}
    row = connection.execute(_ACCOUNT, words).mappings().one_or_none()
    if row is None:
        return None
    running = _running(row)
    return {
        **row,
        "attempts": [_timed(entry, "started_at", "ended_at") for entry in row["attempts"] or ()] + running,
        "events": row["events"] + len(running),
        "acts": [_timed(entry, "acted_at") for entry in row["acts"] or ()],
        "artifacts": row["artifacts"] or [],
    }


def _running(row: Mapping[Any, Any]) -> list[dict[str, Any]]:
    if row["state"] != State.RUNNING:
        return []
    shared = {name: row[name] for name in ("attempt", "worker", "started_at")}
    return [shared | {"outcome": None, "ended_at": None, "error": None}]


def _timed(entry: Mapping[str, Any], *times: str) -> dict[str, Any]:
    # Inside of JSON a time is text.
    return {**entry, **{name: datetime.fromisoformat(entry[name]) for name in times}}
