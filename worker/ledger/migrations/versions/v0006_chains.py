"""What a job comes after, and the live and failed jobs of a client and of a batch."""

from alembic import op

revision = "0006"
down_revision = "0005"

CHAINS = """
ALTER TABLE jobs ADD COLUMN after UUID[] DEFAULT '{}' NOT NULL;

CREATE INDEX jobs_batch_live ON jobs (batch_id)
    WHERE batch_id IS NOT NULL AND state IN ('scheduled', 'queued', 'running', 'retrying');

CREATE INDEX jobs_client_live ON jobs (client_id, id)
    WHERE state IN ('scheduled', 'queued', 'running', 'retrying');

CREATE INDEX jobs_client_failed ON jobs (client_id, id) WHERE state IN ('failed', 'cancelled')
"""


def upgrade() -> None:
    """One column with a default, and indexes; what the version before uses stays as it is."""
    op.execute(CHAINS)
