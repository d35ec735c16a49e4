"""What a client keeps uploaded, and its batches that are not finished."""

from alembic import op

revision = "0009"
down_revision = "0008"

INDEXES = """
CREATE INDEX artifacts_uploads ON artifacts (client_id) INCLUDE (size) WHERE job_id IS NULL;

CREATE INDEX batches_client_open ON batches (client_id, id) WHERE finished_at IS NULL
"""


def upgrade() -> None:
    """Two indexes; the version before does not use them."""
    op.execute(INDEXES)
