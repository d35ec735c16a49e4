"""A ledger with a history of some days and a backlog, made by a few statements."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from tests.integration.ledger.situations import CLIENT, WORKER
from worker.ledger import leases, partitions
from worker.ledger.engines import Ledger
from worker.ledger.ids import floor_of

DAYS = 4  # that are over
BACKLOG = 1_000  # jobs of today that have not ended
OTHER = UUID(int=6)  # a client with as many jobs

_ENDED = ["succeeded"] * 8 + ["failed", "cancelled"]
_LIVE = ["queued"] * 60 + ["scheduled"] * 20 + ["retrying"] * 17 + ["running"] * 3

_ID = text("""
    CREATE FUNCTION pg_temp.id_of(at timestamptz, n int) RETURNS uuid LANGUAGE sql RETURN
        CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0')
             || '70008' || lpad(to_hex(n), 15, '0') AS uuid)
""")
# The first half is one client's. Every second hundred is a batch, with an id from before its first job.
_JOBS = text("""
    INSERT INTO jobs (
        id, client_id, kind, queue, state, priority, payload, description, tags, attempt, max_attempts,
        created_at, due_at, expires_at, published_at, publications, started_at, finished_at,
        worker_id, claim_token, batch_id, unique_key, result, error)
    SELECT
        pg_temp.id_of(at, n), client_id, 'test.kind', (ARRAY['web', 'email', 'report'])[n % 3 + 1], state,
        n % 3, '{"n": 1}', '', ARRAY['tag ' || n % 100], CAST(begun AS int), 3,
        at,
        CASE WHEN state IN ('scheduled', 'retrying') THEN now() + n % 50 * interval '1 minute' ELSE at END,
        CASE WHEN n % 10 = 3 THEN now() + (n % 100 - 3) * interval '1 minute' END,
        CASE WHEN begun OR state = 'queued' AND n % 2 = 0 THEN at END, 1,
        CASE WHEN begun THEN at END, CASE WHEN ended THEN at END,
        CASE WHEN begun THEN CAST(:worker AS uuid) END, CASE WHEN begun THEN gen_random_uuid() END,
        CASE WHEN n / 100 % 2 = 0 THEN pg_temp.id_of(:first + (n / 100 * 100 - 1) * :step, 0) END,
        'key ' || n,
        CASE WHEN state = 'succeeded' THEN json_build_object('n', n) END,
        CASE WHEN state = 'failed' THEN json_build_object('type', 'Fatal', 'message', 'no ' || n % 7) END
    FROM generate_series(0, :count - 1) AS n,
        LATERAL (SELECT :first + n * :step AS at,
                        (CAST(:states AS text[]))[abs(hashint4(n)) % :many + 1] AS state,
                        CAST((ARRAY[:client, :other])[n * 2 / :count + 1] AS uuid) AS client_id) AS job,
        LATERAL (SELECT state IN ('succeeded', 'failed', 'cancelled') AS ended,
                        state NOT IN ('scheduled', 'queued') AS begun) AS so_far
""")
_BESIDE = text("""
    INSERT INTO attempts (job_id, attempt, outcome, worker, started_at, ended_at, error)
    SELECT id, 1, 'failed', 'w', started_at, finished_at,
           json_build_object('type', 'Retryable', 'message', repeat('no ', 100))
    FROM jobs WHERE finished_at IS NOT NULL;
    INSERT INTO acts (job_id, act, actor) SELECT id, 'cancel', 'somebody' FROM jobs WHERE state = 'cancelled';
    INSERT INTO artifacts (id, client_id, job_id, name, content_type, size, sha256, created_at)
    SELECT gen_random_uuid(), client_id, CASE WHEN state = 'succeeded' THEN id END, 'file', '', 1, '',
           created_at
    FROM jobs WHERE state IN ('succeeded', 'failed');
    INSERT INTO batches (id, client_id, size, created_at, finished_at)
    SELECT batch_id, CAST(max(CAST(client_id AS text)) AS uuid), count(*), min(created_at), max(finished_at)
    FROM jobs WHERE batch_id IS NOT NULL GROUP BY batch_id;
    INSERT INTO idempotency_keys (client_id, key, fingerprint, job_id, created_at)
    SELECT client_id, CAST(id AS text), '', id, created_at FROM jobs;
    INSERT INTO unique_keys (client_id, key, job_id, states, created_at)
    SELECT client_id, CAST(id AS text), id, '{queued,running}', created_at FROM jobs;
    INSERT INTO dependencies (after_id, job_id) SELECT id, gen_random_uuid() FROM jobs WHERE state = 'queued';
    INSERT INTO firings (schedule, fire_at, job_id)
    SELECT 'rule ' || n % 10, now() - n * interval '1 minute', gen_random_uuid()
    FROM generate_series(1, :count) AS n;
    INSERT INTO audit (id, actor, act, subject, acted_at)
    SELECT gen_random_uuid(), 'somebody', 'key.add', '', now() - n * interval '1 minute'
    FROM generate_series(1, :count) AS n;
    INSERT INTO endings (job_id) SELECT id FROM jobs WHERE state = 'cancelled' ORDER BY id DESC LIMIT 50;
    INSERT INTO clients (id, name) VALUES (:client, 'one'), (:other, 'other')
""")


class Sample(msgspec.Struct, frozen=True):
    """Some jobs of a ledger, for statements to be about."""

    now: datetime
    old: UUID  # succeeded on the first day
    failed: UUID  # today
    batch: UUID  # of today, with jobs that live
    over: UUID  # a batch of today whose jobs have all ended
    queued: Sequence[UUID]
    running: Sequence[tuple[UUID, UUID]]  # with their tokens


def fill(ledger: Ledger, a_day: int) -> Sample:
    """Make it.

    Args:
        ledger: an empty one.
        a_day: jobs that ended on each day, and today twice as many.
    """
    now = datetime.now(UTC)
    today = datetime.combine(now.date(), time(), UTC)
    late = min(now - today, timedelta(hours=1))
    with ledger.write() as connection:
        connection.execute(_ID)
        partitions.make_ahead(connection, now.date() - timedelta(days=DAYS), 2 * DAYS)
        for day in range(DAYS):
            _jobs(connection, today - timedelta(days=DAYS - day), timedelta(hours=23), a_day, _ENDED)
        _jobs(connection, now - late, late, 2 * a_day, _ENDED)
        _jobs(connection, now - late / 2, late / 2, BACKLOG, _LIVE)
        connection.execute(_BESIDE, {"count": a_day, "client": CLIENT, "other": OTHER})
        leases.renew(connection, WORKER, name="w", host="h", pid=1, queues=["web"])
    return _sample(ledger, now)


def _jobs(
    connection: Connection, first: datetime, within: timedelta, count: int, states: Sequence[str]
) -> None:
    words = {"first": first, "step": within / count, "count": count, "states": states, "many": len(states)}
    connection.execute(_JOBS, words | {"client": str(CLIENT), "other": str(OTHER), "worker": WORKER})


def _sample(ledger: Ledger, now: datetime) -> Sample:
    with ledger.read() as connection:

        def newest(condition: str) -> Sequence[Any]:
            wanted = f"client_id = '{CLIENT}' AND {condition} ORDER BY id DESC LIMIT 5"
            return connection.execute(text(f"SELECT * FROM jobs WHERE {wanted}")).all()  # noqa: S608 - constants

        first_day = floor_of(now - timedelta(days=DAYS - 1))
        return Sample(
            now,
            newest(f"state = 'succeeded' AND id < '{first_day}'")[0].id,
            newest("state = 'failed'")[0].id,
            newest("state = 'queued' AND batch_id IS NOT NULL")[0].batch_id,
            newest("state = 'failed' AND batch_id IS NOT NULL")[0].batch_id,
            [job.id for job in newest("state = 'queued' AND published_at IS NOT NULL")],
            [(job.id, job.claim_token) for job in newest("state = 'running'")],
        )
