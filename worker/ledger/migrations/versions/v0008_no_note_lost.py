"""Notes of ends that are not lost while a beat takes an older one, and that tell nobody a second time."""

from alembic import op

revision = "0008"
down_revision = "0007"

# Beats and workers of the version before leave it to its default, and tell of every end.
TELL = "ALTER TABLE endings ADD COLUMN tell BOOLEAN DEFAULT true NOT NULL"

# An earlier note may be waiting: touching it locks it until this end is committed. Left as it is, a beat
# could take it away, and find the job not ended yet.
ENDINGS = """
CREATE OR REPLACE FUNCTION note_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO endings (job_id) VALUES (NEW.id)
    ON CONFLICT (job_id) DO UPDATE SET ended_at = now(), tell = true;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """A column with a default, and a function that does more of the same."""
    op.execute(TELL)
    op.execute(ENDINGS)
