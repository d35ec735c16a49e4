"""The mark that beats leave in the broker, and what they are sending to it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Two small tables."""
    op.execute("""
        CREATE TABLE broker_mark (
            single BOOLEAN DEFAULT true NOT NULL,
            name TEXT NOT NULL,
            left_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            PRIMARY KEY (single),
            CONSTRAINT broker_mark_single CHECK (single)
        )
    """)
    op.execute("""
        CREATE TABLE dispatches (
            beat_id UUID NOT NULL,
            began_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
            PRIMARY KEY (beat_id)
        )
    """)
