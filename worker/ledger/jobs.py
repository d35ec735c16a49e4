"""Reading jobs: one by id, many for a list, the states of those that somebody waits for."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, Row, RowMapping, TextClause, select, text

from worker.contract.states import FINAL, LIVE, State
from worker.ledger.ids import floor_of
from worker.ledger.rows import uuid_array
from worker.ledger.tables import acts, artifacts, attempts, jobs, workers

_LISTED = (
    jobs.c.id,
    jobs.c.client_id,
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
    jobs.c.unique_key,
    jobs.c.batch_id,
)


_BRIEFLY = text("SET LOCAL statement_timeout = '3s'")


# Conditions that an index of a client's jobs serves by itself.
_STATES_OF_INDEXES = (LIVE, FINAL - {State.SUCCEEDED})

_RUN = frozenset({State.RUNNING})

# Whatever else a filter asks for, of so many jobs it is looked at for one page.
LOOK = 10_000


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs to show or to act on; None: any."""

    client_id: UUID | None = None
    states: frozenset[State] | None = None
    kind: str | None = None
    queue: str | None = None
    tag: str | None = None
    batch_id: UUID | None = None
    error_type: str | None = None  # letters, digits and _
    created_after: datetime | None = None  # inclusive, to the millisecond of the id
    created_before: datetime | None = None  # exclusive


class Page(msgspec.Struct, frozen=True):
    """Some jobs or batches, and where to go on."""

    rows: Sequence[Row[Any]]
    before: UUID | None  # None: there are no more


def find(connection: Connection, job_id: UUID, client_id: UUID | None = None) -> RowMapping | None:
    """A job's whole row, or None where it is unknown or another client's (None: any client's)."""
    wanted = select(jobs).where(jobs.c.id == job_id)
    if client_id is not None:
        wanted = wanted.where(jobs.c.client_id == client_id)
    return connection.execute(wanted).mappings().one_or_none()


_OWNER = text("SELECT client_id FROM jobs WHERE id = :id")


def owner_of(connection: Connection, job_id: UUID) -> UUID | None:
    """The id of the client whose job it is; None where it is unknown."""
    return connection.execute(_OWNER, {"id": job_id}).scalar()


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


# So that a text says which index serves it. All parts are constants of this module; values are bound.
_BOUNDS = {
    "client_id": "client_id = ANY(ARRAY[CAST(:client_id AS uuid)])",
    "before": "id < :before",
    "batch_id": "batch_id = ANY(ARRAY[CAST(:batch_id AS uuid)])",
    "floor": "id >= :floor",
    "ceiling": "id < :ceiling",
}
_CONDITIONS = {
    "states": "state = ANY(CAST(:states AS text[]))",
    "kind": "kind = :kind",
    "queue": "queue = :queue",
    "tag": ":tag = ANY(tags)",
    # As text: PostgreSQL would stumble over an escaped NUL in the message.
    "error_type": """CAST(error AS text) ~ ('^[{]"type" ?: ?"' || :error_type || '"')""",
}

# Everybody's that run have an index of their own; the order would tempt the planner away from it.
_RUNNING = "(SELECT * FROM jobs WHERE state = 'running' OFFSET 0) running"

PAGE = """
    WITH looked AS MATERIALIZED (
        SELECT {columns} FROM {source} WHERE {bounds} ORDER BY {order} LIMIT :most
    ), found AS (
        SELECT * FROM looked WHERE {conditions} ORDER BY id DESC LIMIT :size
    )
    SELECT found.*, about.looked_at, about.oldest
    FROM (SELECT count(*) AS looked_at, (SELECT id FROM looked ORDER BY id LIMIT 1) AS oldest
          FROM looked) about
    LEFT JOIN found ON true ORDER BY found.id DESC
"""


def page(connection: Connection, wanted: JobFilter, size: int, before: UUID | None = None) -> Page:
    """Jobs, newest first, without payload, result and history.

    What an index cannot answer is looked for among the next `LOOK` jobs only, so that a page costs the same
    whatever the filter and the history; it may then hold less than its size, or nothing, and not be the last.

    Args:
        connection: of an open transaction.
        wanted: which jobs.
        size: at most so many.
        before: only jobs older than this id: where the last page ended.
    """
    statement, words = _statement(wanted, size, before)
    return paged(connection, statement, words, size)


def paged(connection: Connection, statement: TextClause, words: Mapping[str, Any], size: int) -> Page:
    """What a statement made of `PAGE` finds; its `:size` is one more, to tell whether that is all."""
    connection.execute(_BRIEFLY)
    found = connection.execute(statement, words).all()
    rows = [row for row in found if row.id is not None]
    if len(rows) > size:
        return Page(rows[:size], rows[size - 1].id)
    return Page(rows, found[0].oldest if found[0].looked_at == LOOK else None)


def _statement(wanted: JobFilter, size: int, before: UUID | None) -> tuple[TextClause, dict[str, Any]]:
    words = _words(wanted) | ({} if before is None else {"before": before})
    conditions = [sql for name, sql in _CONDITIONS.items() if name in words]
    bounds = [sql for name, sql in _BOUNDS.items() if name in words]
    statement = PAGE.format(
        columns=", ".join(column.name for column in _LISTED),
        source=_RUNNING if wanted.client_id is None and wanted.states == _RUN else "jobs",
        bounds=" AND ".join(bounds + _of_indexes(wanted)) or "true",
        order=order_of(words),
        conditions=" AND ".join(conditions) or "true",
    )
    most = LOOK if conditions else size + 1
    return text(statement), words | {"most": most, "size": size + 1}


def order_of(words: Collection[str]) -> str:
    """The newest first, in words that only an index of these jobs serves.

    By the ids alone the planner would go through everybody's jobs where a client has many of them, and all
    those that came after its last one would be passed over one by one. So they are in the order of their
    batch or client first, though that is the same for all; it is compared with an array, or PostgreSQL would
    leave it out of the order again.
    """
    return next((f"{whose} DESC, " for whose in ("batch_id", "client_id") if whose in words), "") + "id DESC"


def _words(wanted: JobFilter) -> dict[str, Any]:
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    if (after := given.pop("created_after", None)) is not None:
        given["floor"] = floor_of(after)
    if (until := given.pop("created_before", None)) is not None:
        given["ceiling"] = floor_of(until)
    if wanted.states is not None:
        given["states"] = sorted(wanted.states)
    return given


def _of_indexes(wanted: JobFilter) -> list[str]:
    """The condition of the partial index of a client's jobs that holds these states, where one does."""
    states = wanted.states
    if wanted.client_id is None or states is None:
        return []
    return [
        "state IN (" + ", ".join(f"'{state}'" for state in sorted(indexed)) + ")"
        for indexed in _STATES_OF_INDEXES
        if states <= indexed
    ]


_ENDED = text("""
    SELECT id FROM jobs
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('succeeded', 'failed', 'cancelled')
""")


def ended_among(connection: Connection, ids: Collection[UUID]) -> set[UUID]:
    """Which of these jobs are in a final state: one statement for all that somebody waits for."""
    return set(connection.execute(_ENDED, {"ids": uuid_array(list(ids))}).scalars())


_KINDS = text("SELECT kind, count(*) AS jobs FROM jobs WHERE id = ANY(CAST(:ids AS uuid[])) GROUP BY kind")


def kinds_of(connection: Connection, ids: Collection[UUID]) -> Counter[str]:
    """How many of these jobs are of which kind."""
    if not ids:
        return Counter()
    rows = connection.execute(_KINDS, {"ids": uuid_array(list(ids))})
    return Counter({row.kind: row.jobs for row in rows})


# One branch for each partial index of live jobs: a condition on the state alone would read the history.
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


# The condition of an index that has the clients too, or the history would be read.
_BY_CLIENT = text("""
    SELECT client_id, count(*) AS jobs FROM jobs
    WHERE state IN ('scheduled', 'queued', 'running', 'retrying') GROUP BY client_id
""")


def live_by_client(connection: Connection) -> dict[UUID, int]:
    """For each client how many jobs it has that have not ended."""
    return {row.client_id: row.jobs for row in connection.execute(_BY_CLIENT)}
