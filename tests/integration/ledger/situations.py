"""Jobs in the state that a test begins with, brought there by the ledger's own transitions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, RowMapping, text

from worker.contract.states import State
from worker.ledger import jobs, transitions
from worker.ledger.ids import new_id
from worker.ledger.records import Claim, NewJob, Outcome

WORKER = UUID(int=7)
CLIENT = UUID(int=5)


def new_job(**fields: Any) -> NewJob:
    given: dict[str, Any] = {
        "id": new_id(),
        "client_id": CLIENT,
        "kind": "test.kind",
        "queue": "web",
        "payload": b'{"n": 1}',
        "description": "n",
        "max_attempts": 3,
    }
    return NewJob(**given | fields)


def enqueue(connection: Connection, **fields: Any) -> UUID:
    job = new_job(**fields)
    transitions.enqueue(connection, [job])
    return job.id


def row(connection: Connection, job_id: UUID) -> RowMapping:
    found = jobs.find(connection, job_id)
    assert found is not None
    return found


def state(connection: Connection, job_id: UUID) -> State:
    return State(row(connection, job_id)["state"])


def change(connection: Connection, job_id: UUID, **columns: str) -> None:
    """Set columns to SQL expressions: what time or somebody else would have done."""
    words = ", ".join(f"{name} = {expression}" for name, expression in columns.items())
    connection.execute(text(f"UPDATE jobs SET {words} WHERE id = :id"), {"id": job_id})  # noqa: S608 - a test's


def claim(
    connection: Connection,
    job_id: UUID,
    token: UUID | None = None,
    *,
    alone: bool = False,
    worker: UUID = WORKER,
) -> UUID | None:
    """Claim a job; returns the token that holds it, or None."""
    wish = Claim(job_id=job_id, token=token or uuid4(), worker_id=worker, alone=alone)
    held = transitions.claim(connection, [wish])
    return held[0].token if held else None


def finish(connection: Connection, job_id: UUID, token: UUID, ended: State, **fields: Any) -> State | None:
    """Record an outcome; returns the state that stands, or None where the token does not hold."""
    outcome = Outcome(job_id=job_id, token=token, worker="w", state=ended, **fields)
    return transitions.finish(connection, [outcome]).get(job_id)


def claimed(connection: Connection, **fields: Any) -> tuple[UUID, UUID]:
    """A running job and its token."""
    job_id = enqueue(connection, **fields)
    token = claim(connection, job_id)
    assert token
    return job_id, token


def _ended(ended: State, **fields: Any) -> Callable[[Connection], UUID]:
    def bring(connection: Connection) -> UUID:
        job_id, token = claimed(connection)
        finish(connection, job_id, token, ended, **fields)
        return job_id

    return bring


def _scheduled(connection: Connection) -> UUID:
    job_id = enqueue(connection)
    change(connection, job_id, state="'scheduled'", due_at="now() + interval '1 hour'")
    return job_id


IN_STATE: dict[State, Callable[[Connection], UUID]] = {
    State.SCHEDULED: _scheduled,
    State.QUEUED: enqueue,
    State.RUNNING: lambda connection: claimed(connection)[0],
    State.RETRYING: _ended(State.RETRYING, delay=3600.0),
    State.SUCCEEDED: _ended(State.SUCCEEDED, result=b"{}"),
    State.FAILED: _ended(State.FAILED),
    State.CANCELLED: _ended(State.CANCELLED),
}
