"""The mark that beats left in the broker."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """One table of one row."""
    op.execute("""
        CREATE TABLE broker_mark (
            single BOOLEAN DEFAULT true NOT NULL,
            name TEXT NOT NULL,
            left_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            PRIMARY KEY (single),
            CONSTRAINT broker_mark_single CHECK (single)
        )
    """)
