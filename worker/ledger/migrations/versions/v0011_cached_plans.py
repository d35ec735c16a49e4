"""Claims and outcomes as functions, so that PostgreSQL keeps their plans."""

from alembic import op

revision = "0011"
down_revision = "0010"

# Planning took most of what a statement cost. A function's plan is kept for the session, behind PgBouncer too,
# and serves whatever ids come, so three things see to it that it is good for all:
#
# - What finds the partitions must be known when it begins. The ids are sorted, and lie between the first and
#   the last; of an array of them a kept plan knows nothing.
# - It is kept from the time when a partition was empty, so it must not be a sequential scan.
# - Nor may it be a scan of some partial index, which looks as good then as the primary key: none of these
#   can be meant where the state is asked for through coalesce.
#
# So each id is looked up by the primary key, in their order, and two calls do not wait for each other.
# Workers of the version before go on with statements of their own.
CLAIM = """
CREATE FUNCTION claim_0011(ids uuid[], tokens uuid[], alone bool[], worker uuid) RETURNS TABLE (
    id uuid, token uuid, client_id uuid, kind text, queue text, payload text, attempt integer,
    max_attempts integer, spent integer, request_id text, checkpoint text, refers boolean,
    cancel_requested boolean, waited float
) LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wish AS MATERIALIZED (
        SELECT * FROM unnest(ids, tokens, alone) AS w (id, token, alone)
    )
    UPDATE jobs j
    SET state = 'running', claim_token = w.token, worker_id = worker, held_alone = w.alone,
        attempt = j.attempt + CASE WHEN j.state = 'queued' THEN 1 ELSE 0 END,
        started_at = now(), progress = NULL, overran = false
    FROM wish w
    WHERE j.id = w.id AND j.id = ANY(ids) AND j.id BETWEEN ids[1] AND ids[cardinality(ids)]
      AND (coalesce(j.state, '') = 'running' AND j.claim_token = w.token
           OR coalesce(j.state, '') = 'queued' AND (w.alone OR NOT j.wants_alone)
              AND (j.expires_at IS NULL OR j.expires_at > now())
              AND NOT EXISTS (SELECT FROM queues q WHERE q.name = j.queue AND q.paused_at IS NOT NULL))
    RETURNING j.id, j.claim_token, j.client_id, j.kind, j.queue, CAST(j.payload AS text), j.attempt,
              j.max_attempts, j.attempt - j.losses - j.hand_backs, j.request_id,
              CAST(j.checkpoint AS text), j.refers, j.cancel_requested_at IS NOT NULL,
              greatest(CAST(extract(epoch FROM now() - j.due_at) AS float), 0);
END $$
"""

FINISH = """
CREATE FUNCTION finish_0011(
    ids uuid[], tokens uuid[], states text[], results text[], errors text[], delays float[], workers text[]
) RETURNS TABLE (id uuid, state text)
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH word AS MATERIALIZED (
        SELECT * FROM unnest(ids, tokens, states, results, errors, delays, workers)
                 AS w (id, token, state, result, error, delay, worker)
    ), ended AS (
        UPDATE jobs j
        SET state = CASE WHEN w.state = 'retrying' AND j.cancel_requested_at IS NOT NULL
                         THEN 'cancelled' ELSE w.state END,
            result = CAST(w.result AS json), error = CAST(w.error AS json),
            due_at = now() + w.delay * interval '1 second',
            -- It was for the next attempt, and there is none after a success.
            checkpoint = CASE WHEN w.state <> 'succeeded' THEN j.checkpoint END,
            finished_at = CASE WHEN w.state <> 'retrying' OR j.cancel_requested_at IS NOT NULL
                               THEN now() END
        FROM word w
        WHERE j.id = w.id AND j.id = ANY(ids) AND j.id BETWEEN ids[1] AND ids[cardinality(ids)]
          AND coalesce(j.state, '') = 'running' AND j.claim_token = w.token
        RETURNING j.id, j.state, j.attempt, j.started_at, w.worker, w.error,
                  CASE WHEN w.state = 'retrying' THEN 'failed' ELSE w.state END AS outcome
    ), trace AS (
        INSERT INTO attempts (job_id, attempt, outcome, worker, started_at, error)
        SELECT id, attempt, outcome, worker, started_at, CAST(error AS json) FROM ended
    )
    SELECT id, state FROM ended;
END $$
"""


def upgrade() -> None:
    """Two functions; the version before does not call them."""
    op.execute(CLAIM)
    op.execute(FINISH)
