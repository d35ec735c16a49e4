"""The ledger: jobs and what follows them, leases, clients, firings, artifacts."""

from alembic import op

revision = "0001"
down_revision = None

LEDGER = """
CREATE TABLE acts (
    job_id UUID NOT NULL,
    acted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    act TEXT NOT NULL,
    actor TEXT NOT NULL,
    PRIMARY KEY (job_id, acted_at, act)
)
 PARTITION BY RANGE (job_id);

CREATE TABLE acts_default PARTITION OF acts DEFAULT;

CREATE TABLE artifacts (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    job_id UUID,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT artifacts_job_name UNIQUE (job_id, name)
);

CREATE INDEX artifacts_created ON artifacts (created_at) WHERE job_id IS NULL;

CREATE TABLE attempts (
    job_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    worker TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    error JSON,
    PRIMARY KEY (job_id, attempt)
)
 PARTITION BY RANGE (job_id);

CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;

CREATE INDEX attempts_ended ON attempts USING brin (ended_at) WITH (autosummarize = true);

CREATE TABLE clients (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (name)
);

CREATE TABLE firings (
    schedule TEXT NOT NULL,
    fire_at TIMESTAMP WITH TIME ZONE NOT NULL,
    job_id UUID NOT NULL,
    PRIMARY KEY (schedule, fire_at)
);

CREATE TABLE idempotency_keys (
    client_id UUID NOT NULL,
    key TEXT NOT NULL,
    fingerprint BYTEA NOT NULL,
    job_id UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (client_id, key)
);

CREATE INDEX idempotency_keys_created ON idempotency_keys (created_at);

CREATE TABLE jobs (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    kind TEXT NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    priority SMALLINT NOT NULL,
    payload JSON,
    description TEXT NOT NULL,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    request_id TEXT,
    attempt INTEGER DEFAULT 0 NOT NULL,
    max_attempts INTEGER NOT NULL,
    losses INTEGER DEFAULT 0 NOT NULL,
    hand_backs INTEGER DEFAULT 0 NOT NULL,
    shared_losses INTEGER DEFAULT 0 NOT NULL,
    alone_losses INTEGER DEFAULT 0 NOT NULL,
    held_alone BOOLEAN DEFAULT false NOT NULL,
    wants_alone BOOLEAN DEFAULT false NOT NULL,
    overran BOOLEAN DEFAULT false NOT NULL,
    claim_token UUID,
    worker_id UUID,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    scheduled_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    published_at TIMESTAMP WITH TIME ZONE,
    publications INTEGER DEFAULT 0 NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    progress JSON,
    result JSON,
    error JSON,
    PRIMARY KEY (id),
    CONSTRAINT jobs_state CHECK (state IN ('scheduled', 'queued', 'running', 'retrying', 'succeeded', 'failed', 'cancelled'))
)
 PARTITION BY RANGE (id);

CREATE TABLE jobs_default PARTITION OF jobs DEFAULT;

CREATE INDEX jobs_client ON jobs (client_id, id);

CREATE INDEX jobs_due ON jobs (due_at) WHERE state IN ('scheduled', 'retrying');

CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying');

CREATE INDEX jobs_published ON jobs (queue, published_at) WHERE state = 'queued' AND published_at IS NOT NULL;

CREATE INDEX jobs_running ON jobs (worker_id) WHERE state = 'running';

CREATE INDEX jobs_unpublished ON jobs (queue, wants_alone, priority DESC, id) WHERE state = 'queued' AND published_at IS NULL;

CREATE TABLE queues (
    name TEXT NOT NULL,
    paused_at TIMESTAMP WITH TIME ZONE,
    paused_by TEXT,
    PRIMARY KEY (name)
);

CREATE TABLE schedules (
    name TEXT NOT NULL,
    fired_until TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE workers (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    queues TEXT[] NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    digest BYTEA NOT NULL,
    hint TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(client_id) REFERENCES clients (id) ON DELETE CASCADE,
    UNIQUE (digest)
);

CREATE INDEX api_keys_client ON api_keys (client_id)
"""

# A function, because planning a statement over every partition costs twenty times what running it does:
# PostgreSQL keeps the plan of a function for the session, behind PgBouncer too. It is kept from the time
# when a partition was empty, so it must not be a sequential scan.
AGENDA = """
CREATE FUNCTION agenda() RETURNS TABLE (
    moment timestamptz, due boolean, expiring boolean, publishable boolean, published boolean,
    oldest_heartbeat timestamptz
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT
        now(),
        EXISTS (SELECT FROM jobs WHERE state IN ('scheduled', 'retrying') AND due_at <= now()),
        EXISTS (SELECT FROM jobs
                WHERE state IN ('scheduled', 'queued', 'retrying') AND expires_at <= now()),
        EXISTS (SELECT FROM jobs WHERE state = 'queued' AND published_at IS NULL),
        EXISTS (SELECT FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL),
        (SELECT min(heartbeat_at) FROM workers);
END $$
"""


def upgrade() -> None:
    """Make every table."""
    op.execute(LEDGER)
    op.execute(AGENDA)
