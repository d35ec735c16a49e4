"""Checkpoints of jobs, and the kinds that a key may submit."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Two columns; neither is read or written by code of the version before."""
    op.execute("ALTER TABLE jobs ADD COLUMN checkpoint JSON")
    op.execute("ALTER TABLE api_keys ADD COLUMN kinds TEXT[]")
