"""What follows from the end of a job: dependencies, batches, callbacks; and unique keys."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
ALTER TABLE jobs ADD COLUMN callback TEXT;
ALTER TABLE jobs ADD COLUMN batch_id UUID;
ALTER TABLE jobs ADD COLUMN waits_for INTEGER DEFAULT 0 NOT NULL;
ALTER TABLE jobs ADD COLUMN refers BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE jobs ADD COLUMN followed BOOLEAN DEFAULT false NOT NULL;

CREATE INDEX jobs_batch ON jobs (batch_id, id) WHERE batch_id IS NOT NULL;

CREATE TABLE endings (
    job_id UUID NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id)
);

CREATE TABLE dependencies (
    after_id UUID NOT NULL,
    job_id UUID NOT NULL,
    PRIMARY KEY (after_id, job_id)
);

CREATE INDEX dependencies_job ON dependencies (job_id);

CREATE TABLE batches (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    size INTEGER NOT NULL,
    callback TEXT,
    tags TEXT[] DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE INDEX batches_client ON batches (client_id, id);

CREATE TABLE unique_keys (
    client_id UUID NOT NULL,
    key TEXT NOT NULL,
    job_id UUID NOT NULL,
    states TEXT[] NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (client_id, key)
);

CREATE INDEX unique_keys_created ON unique_keys (created_at);

CREATE TABLE webhook_secrets (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    secret BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(client_id) REFERENCES clients (id) ON DELETE CASCADE
);

CREATE INDEX webhook_secrets_client ON webhook_secrets (client_id)
"""

# A trigger, because many transitions end a job and none may forget; its condition costs nothing where
# nobody follows the job.
ENDINGS = """
CREATE FUNCTION note_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO endings (job_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER jobs_ended AFTER UPDATE OF state ON jobs FOR EACH ROW
WHEN (NEW.followed AND NEW.state IN ('succeeded', 'failed', 'cancelled')
      AND OLD.state NOT IN ('succeeded', 'failed', 'cancelled'))
EXECUTE FUNCTION note_ending()
"""

# A new function beside agenda(), which beats of the version before go on to call.
AGENDA = """
CREATE FUNCTION agenda_0003() RETURNS TABLE (
    moment timestamptz, due boolean, expiring boolean, publishable boolean, published boolean,
    ended boolean, oldest_heartbeat timestamptz
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY SELECT
        now(),
        EXISTS (SELECT FROM jobs WHERE state IN ('scheduled', 'retrying') AND due_at <= now()),
        EXISTS (SELECT FROM jobs
                WHERE state IN ('scheduled', 'queued', 'retrying') AND expires_at <= now()),
        EXISTS (SELECT FROM jobs WHERE state = 'queued' AND published_at IS NULL),
        EXISTS (SELECT FROM jobs WHERE state = 'queued' AND published_at IS NOT NULL),
        EXISTS (SELECT FROM endings),
        (SELECT min(heartbeat_at) FROM workers);
END $$
"""


def upgrade() -> None:
    """Add columns, tables, a trigger and a function; what the version before uses stays as it is."""
    op.execute(TABLES)
    op.execute(ENDINGS)
    op.execute(AGENDA)
