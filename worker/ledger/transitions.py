"""The state machine: one function for each transition, one statement each, guarded by the state it leaves.

Two things hold everywhere. The ledger's clock decides (`now()`), never that of a caller. And statements
by id carry the ids as one array literal: psycopg2 sends it inline, so PostgreSQL touches only the
partitions that the ids name (a join to `unnest` alone touches all of them). Where the ledger itself picks
the jobs, one statement picks and locks them and the next one changes them, for the same reason.

Claims and outcomes are functions of the ledger's own, which get their ids sorted: planning them took most
of their time. Their bodies are in `migrations/versions/v0011_cached_plans.py`.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from worker.contract.states import FINAL, State
from worker.ledger import calls, followups, unique_keys
from worker.ledger.records import Accepted, Claim, ClaimedJob, JobFailure, NewJob, Outcome
from worker.ledger.rows import uuid_array

# ── accepted ──────────────────────────────────────────────────────────────────────────────────────────

# What waits for others has no due time yet; the year keeps it out of the way of what has one.
_NEVER = "CAST('9999-01-01 00:00:00+00' AS timestamptz)"

# The payload as text: json_to_recordset would refuse an escaped NUL inside of a json.
_FIELDS = """
    id uuid, client_id uuid, kind text, queue text, priority smallint, payload text, description text,
    max_attempts integer, tags text[], request_id text, scheduled_at timestamptz, expires_at timestamptz,
    published boolean, unique_key text, callback text, batch_id uuid, after uuid[], waits_for integer,
    refers boolean, followed boolean
"""

_ENQUEUE = text(f"""
    INSERT INTO jobs (id, client_id, kind, queue, state, priority, payload, description, max_attempts,
                      tags, request_id, scheduled_at, due_at, expires_at, published_at, publications,
                      unique_key, callback, batch_id, after, waits_for, refers, followed)
    SELECT id, client_id, kind, queue,
           CASE WHEN waits_for > 0 OR scheduled_at > now() THEN 'scheduled' ELSE 'queued' END,
           priority, CAST(payload AS json), description, max_attempts, tags, request_id, scheduled_at,
           CASE WHEN waits_for > 0 THEN {_NEVER} ELSE coalesce(scheduled_at, now()) END,
           expires_at, CASE WHEN published THEN now() END, CAST(published AS int),
           unique_key, callback, batch_id, after, waits_for, refers, followed
    FROM json_to_recordset(CAST(:jobs AS json)) AS new ({_FIELDS})
    RETURNING id, state, created_at
""")


def enqueue(connection: Connection, jobs: Sequence[NewJob]) -> dict[UUID, Accepted]:
    """Accept jobs: → scheduled, or queued where one is due and waits for no other."""
    document = msgspec.json.encode([_new_row(job) for job in jobs]).decode()
    rows = connection.execute(_ENQUEUE, {"jobs": document})
    accepted = {row.id: Accepted(State(row.state), row.created_at) for row in rows}
    followups.depend(connection, [(after, job.id) for job in jobs for after in job.unmet])
    return accepted


def _new_row(job: NewJob) -> dict[str, object]:
    fields = msgspec.structs.asdict(job)
    del fields["takes"]
    return fields | {
        "priority": job.priority.rank,
        "payload": job.payload.decode(),
        "unique_key": job.unique_key and job.unique_key.key,
        "waits_for": len(fields.pop("unmet")),
    }


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────

_DUE = text("""
    SELECT id FROM jobs WHERE state IN ('scheduled', 'retrying') AND due_at <= now()
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_MAKE_DUE = text("""
    UPDATE jobs SET state = 'queued', published_at = NULL, publications = 0
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('scheduled', 'retrying')
""")


def make_due(connection: Connection, limit: int) -> int:
    """scheduled, retrying → queued, once their time has come; returns how many."""
    ids = connection.execute(_DUE, {"limit": limit}).scalars().all()
    return connection.execute(_MAKE_DUE, {"ids": uuid_array(ids)}).rowcount if ids else 0


_EXPIRED = text("""
    SELECT id FROM jobs WHERE state IN ('scheduled', 'queued', 'retrying') AND expires_at <= now()
    ORDER BY expires_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_EXPIRE = text("""
    UPDATE jobs SET state = 'failed', finished_at = now(), published_at = NULL,
                    error = json_build_object('type', 'Expired', 'message',
                        'the job was not started before its expires_at')
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('scheduled', 'queued', 'retrying')
    RETURNING id
""")


def expire(connection: Connection, limit: int) -> list[UUID]:
    """scheduled, queued, retrying → failed, past their expires_at."""
    ids = connection.execute(_EXPIRED, {"limit": limit}).scalars().all()
    return list(connection.execute(_EXPIRE, {"ids": uuid_array(ids)}).scalars()) if ids else []


# ── running ───────────────────────────────────────────────────────────────────────────────────────────

_CLAIM = """
    SELECT * FROM claim_0011(
        CAST(%(ids)s AS uuid[]), CAST(%(tokens)s AS uuid[]), %(alone)s, %(worker_id)s)
"""


def claim(connection: Connection, claims: Sequence[Claim]) -> list[ClaimedJob]:
    """Queued → running, for one worker. What cannot be claimed is left out of the answer.

    Repeating a claim with its token (after a commit of which no answer came, or before a job that waited in a
    bundle begins) gives the same job again, unless it was taken away meanwhile.
    """
    claims = sorted(claims, key=lambda claim: claim.job_id)
    words = {
        "ids": uuid_array([claim.job_id for claim in claims]),
        "tokens": uuid_array([claim.token for claim in claims]),
        "alone": [claim.alone for claim in claims],
        "worker_id": claims[0].worker_id,
    }
    return [ClaimedJob(**row) for row in calls.rows(connection, _CLAIM, words)]


_FINISH = """
    SELECT * FROM finish_0011(
        CAST(%(ids)s AS uuid[]), CAST(%(tokens)s AS uuid[]), CAST(%(states)s AS text[]),
        CAST(%(results)s AS text[]), CAST(%(errors)s AS text[]), CAST(%(delays)s AS float[]),
        CAST(%(workers)s AS text[]))
"""

_SPOKEN = text("""
    SELECT j.id, j.state
    FROM jobs j JOIN unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS w (id, token)
      ON j.id = w.id AND j.claim_token = w.token
    WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.state <> 'running'
""")


def finish(connection: Connection, outcomes: Sequence[Outcome]) -> dict[UUID, State]:
    """Running → succeeded, failed, cancelled or retrying, fenced by the claim's token.

    Returns the state of every job whose outcome stands, recorded now or by an earlier try of the same
    token. A job that is missing was taken from its worker, whose late word changes nothing.
    """
    outcomes = sorted(outcomes, key=lambda outcome: outcome.job_id)
    words = {
        "ids": uuid_array([outcome.job_id for outcome in outcomes]),
        "tokens": uuid_array([outcome.token for outcome in outcomes]),
        "states": [outcome.state.value for outcome in outcomes],
        "results": [outcome.result.decode() if outcome.result else None for outcome in outcomes],
        "errors": [_json(outcome.error) for outcome in outcomes],
        "delays": [outcome.delay for outcome in outcomes],
        "workers": [outcome.worker for outcome in outcomes],
    }
    stands = {row["id"]: State(row["state"]) for row in calls.rows(connection, _FINISH, words)}
    if len(stands) < len(outcomes):
        for row in connection.execute(_SPOKEN, words):
            # What was to be retried may be queued by now; its word was retrying.
            state = State(row.state)
            stands[row.id] = state if state in FINAL else State.RETRYING
    return stands


_PROGRESS = text("""
    UPDATE jobs SET progress = CAST(:progress AS json)
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running' AND claim_token = :token
""")


def report_progress(connection: Connection, job_id: UUID, token: UUID, progress: bytes) -> None:
    """Let clients read how far a running job is."""
    connection.execute(
        _PROGRESS, {"ids": uuid_array([job_id]), "token": token, "progress": progress.decode()}
    )


_CHECKPOINT = text("""
    UPDATE jobs SET checkpoint = CAST(:checkpoint AS json)
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running' AND claim_token = :token
""")


def save_checkpoint(connection: Connection, job_id: UUID, token: UUID, checkpoint: bytes) -> bool:
    """Note what a running job has done, for its later attempts; False where it was taken away."""
    words = {"ids": uuid_array([job_id]), "token": token, "checkpoint": checkpoint.decode()}
    return connection.execute(_CHECKPOINT, words).rowcount > 0


_MARK_OVERRUN = text("""
    UPDATE jobs SET overran = true
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state = 'running' AND claim_token = :token
""")


def mark_overrun(connection: Connection, job_id: UUID, token: UUID) -> None:
    """Note that a running job is about to lose its process to its deadline: an attempt spent, no loss."""
    connection.execute(_MARK_OVERRUN, {"ids": uuid_array([job_id]), "token": token})


# ── leaving running without an outcome ────────────────────────────────────────────────────────────────

_HAND_BACK = text("""
    WITH back AS (
        UPDATE jobs j
        SET hand_backs = j.hand_backs + 1, claim_token = NULL, worker_id = NULL,
            published_at = NULL, publications = 0,
            state = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                         WHEN :delay > 0 THEN 'retrying' ELSE 'queued' END,
            finished_at = CASE WHEN j.cancel_requested_at IS NOT NULL THEN now() END,
            due_at = now() + :delay * interval '1 second'
        FROM unnest(CAST(:ids AS uuid[]), CAST(:tokens AS uuid[])) AS w (id, token)
        WHERE j.id = ANY(CAST(:ids AS uuid[])) AND j.id = w.id
          AND j.state = 'running' AND j.claim_token = w.token
        RETURNING j.id, j.attempt, j.started_at
    )
    INSERT INTO attempts (job_id, attempt, outcome, worker, started_at, error)
    SELECT id, attempt, 'handed_back', :worker, started_at,
           json_build_object('type', 'HandedBack', 'message', 'its worker gave it back; nothing was spent')
    FROM back
""")


def hand_back(
    connection: Connection, held: Sequence[tuple[UUID, UUID]], worker: str, delay: float = 0.0
) -> int:
    """Running → queued, unspent (or retrying, where a delay must pass first).

    Args:
        connection: of an open transaction.
        held: job ids with their claim tokens.
        worker: the name of the worker that gives them back.
        delay: seconds during which what cannot be stopped may still run.

    Returns:
        How many were given back.
    """
    return connection.execute(
        _HAND_BACK,
        {
            "ids": uuid_array([job_id for job_id, _ in held]),
            "tokens": uuid_array([token for _, token in held]),
            "worker": worker,
            "delay": delay,
        },
    ).rowcount


# A first loss may be a neighbour's doing, so the job runs among others once more; after the second it
# runs alone, and only what is lost alone is counted against it.
_SHARED_LOSSES = 2

_LOSE = """
    WITH held AS (
        SELECT j.id, j.claim_token, w.name AS worker
        FROM jobs j LEFT JOIN workers w ON w.id = j.worker_id
        WHERE j.state = 'running' AND {condition}
        ORDER BY j.id LIMIT 1000 FOR UPDATE OF j SKIP LOCKED
    ), lost AS (
        UPDATE jobs j
        SET losses = j.losses + 1,
            alone_losses = j.alone_losses + CAST(j.held_alone AS int),
            shared_losses = j.shared_losses + CAST(NOT j.held_alone AS int),
            wants_alone = j.shared_losses + CAST(NOT j.held_alone AS int) >= :shared_losses,
            claim_token = NULL, worker_id = NULL, published_at = NULL, publications = 0,
            state = CASE WHEN j.cancel_requested_at IS NOT NULL THEN 'cancelled'
                         WHEN j.alone_losses + CAST(j.held_alone AS int) >= :cap THEN 'failed'
                         ELSE 'queued' END,
            finished_at = CASE WHEN j.cancel_requested_at IS NOT NULL
                                 OR j.alone_losses + CAST(j.held_alone AS int) >= :cap THEN now() END,
            error = json_build_object('type', 'Lost', 'message', CAST(:reason AS text))
        FROM held h
        WHERE {partitions} j.id = h.id AND j.state = 'running' AND j.claim_token = h.claim_token
        RETURNING j.id, j.state, j.attempt, j.started_at, j.error, h.worker
    ), trace AS (
        INSERT INTO attempts (job_id, attempt, outcome, worker, started_at, error)
        SELECT id, attempt, 'lost', worker, started_at, error FROM lost
    )
    SELECT id, state FROM lost
"""

_LOSE_HELD = text(
    _LOSE.format(
        condition="j.id = ANY(CAST(:ids AS uuid[])) AND j.claim_token = :token",
        partitions="j.id = ANY(CAST(:ids AS uuid[])) AND",
    )
)
_RESCUE = text(
    _LOSE.format(
        condition="""NOT EXISTS (
            SELECT FROM workers alive
            WHERE alive.id = j.worker_id AND alive.heartbeat_at > now() - :lease * interval '1 second')""",
        partitions="",  # rare, and it does not know the ids beforehand
    )
)


def lose(connection: Connection, job_id: UUID, token: UUID, reason: str, cap: int) -> State | None:
    """Running → queued with one loss, or failed at the cap: the process that held it died.

    Returns the new state, or None where the token no longer holds the job.
    """
    row = connection.execute(
        _LOSE_HELD,
        {
            "ids": uuid_array([job_id]),
            "token": token,
            "reason": reason,
            "cap": cap,
            "shared_losses": _SHARED_LOSSES,
        },
    ).first()
    return State(row.state) if row else None


def rescue(connection: Connection, lease: float, cap: int) -> dict[UUID, State]:
    """Running → queued with one loss, or failed at the cap, where the worker's lease ran out.

    Args:
        connection: of an open transaction.
        lease: seconds since the last heartbeat after which a worker counts as dead.
        cap: losses while alone after which a job ends failed.

    Returns:
        The rescued jobs with their new states, at most 1,000: call again while there are any.
    """
    rows = connection.execute(
        _RESCUE,
        {
            "lease": lease,
            "cap": cap,
            "reason": "the worker's lease ran out: it died or was cut off",
            "shared_losses": _SHARED_LOSSES,
        },
    )
    return {row.id: State(row.state) for row in rows}


# ── by a client or an operator ────────────────────────────────────────────────────────────────────────

_CANCEL = text("""
    WITH cancelled AS (
        UPDATE jobs
        SET cancel_requested_at = now(),
            finished_at = CASE WHEN state = 'running' THEN NULL ELSE now() END,
            published_at = CASE WHEN state = 'running' THEN published_at END,
            state = CASE WHEN state = 'running' THEN 'running' ELSE 'cancelled' END
        WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('scheduled', 'queued', 'running', 'retrying')
          AND cancel_requested_at IS NULL
          AND (CAST(:client_id AS uuid) IS NULL OR client_id = :client_id)
        RETURNING id, state
    ), trace AS (
        INSERT INTO acts (job_id, act, actor) SELECT id, 'cancel', :actor FROM cancelled
    )
    SELECT id, state FROM cancelled
""")


def cancel_all(
    connection: Connection, ids: Sequence[UUID], actor: str, client_id: UUID | None = None
) -> dict[UUID, State]:
    """scheduled, queued, retrying → cancelled; a running job keeps its state and learns of the wish.

    Args:
        connection: of an open transaction.
        ids: which jobs.
        actor: who says so, for the history.
        client_id: only those that are this client's; None: any client's.

    Returns:
        The states after it; what is final, cancelling already, unknown or another's is left out.
    """
    words = {"ids": uuid_array(ids), "actor": actor, "client_id": client_id}
    return {row.id: State(row.state) for row in connection.execute(_CANCEL, words)}


def cancel(connection: Connection, job_id: UUID, actor: str, client_id: UUID | None = None) -> State | None:
    """`cancel_all` for one job: its state after it, or None."""
    return cancel_all(connection, [job_id], actor, client_id).get(job_id)


# A job that never began waits for the others again, and for its time; one that did has seen them succeed.
_RUN_AGAIN = text(f"""
    WITH again AS (
        UPDATE jobs
        SET state = CASE WHEN attempt = 0 AND (after <> '{{}}' OR scheduled_at > now())
                         THEN 'scheduled' ELSE 'queued' END,
            waits_for = CASE WHEN attempt = 0 THEN cardinality(after) ELSE 0 END,
            due_at = CASE WHEN attempt = 0 AND after <> '{{}}' THEN {_NEVER}
                          WHEN attempt = 0 THEN greatest(scheduled_at, now()) ELSE now() END,
            max_attempts = greatest(max_attempts, attempt - losses - hand_backs + 1),
            alone_losses = 0, shared_losses = 0, wants_alone = false,
            cancel_requested_at = NULL, expires_at = NULL, published_at = NULL, publications = 0,
            claim_token = NULL, worker_id = NULL, finished_at = NULL,
            result = NULL, error = NULL, progress = NULL
        WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('failed', 'cancelled') AND payload IS NOT NULL
          AND (CAST(:client_id AS uuid) IS NULL OR client_id = :client_id)
        RETURNING id, state
    ), trace AS (
        INSERT INTO acts (job_id, act, actor) SELECT id, 'retry', :actor FROM again
    )
    SELECT id, state FROM again
""")


def run_all_again(
    connection: Connection, ids: Sequence[UUID], actor: str, client_id: UUID | None = None
) -> dict[UUID, State]:
    """failed, cancelled → queued, with at least one more attempt; the acts are recorded.

    One that never began, because a job that it comes after did not succeed or because its time had not come,
    is scheduled again instead.

    Returns:
        The states after it; what is in another state, pruned, unknown, another client's, or whose unique
        key another job holds by now, is left out.
    """
    free = unique_keys.take_back(connection, ids, client_id)
    words = {"ids": uuid_array(free), "actor": actor, "client_id": client_id}
    again = {row.id: State(row.state) for row in connection.execute(_RUN_AGAIN, words)}
    followups.wait_again(connection, [id_ for id_, state in again.items() if state is State.SCHEDULED])
    return again


def run_again(
    connection: Connection, job_id: UUID, actor: str, client_id: UUID | None = None
) -> State | None:
    """`run_all_again` for one job: its state after it, or None."""
    return run_all_again(connection, [job_id], actor, client_id).get(job_id)


def _json(failure: JobFailure | None) -> str | None:
    return msgspec.json.encode(failure).decode() if failure else None
