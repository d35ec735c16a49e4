"""Schedules of clients, and firings that wait or are skipped."""

from alembic import op

revision = "0010"
down_revision = "0009"

# Beats of the version before go on with `schedules`, a row for each file; those of this one fire the same
# files from here, and go on from there. What keeps both from firing twice is `firings`, which they share.
SCHEDULES = """
CREATE TABLE client_schedules (
    id UUID NOT NULL,
    client_id UUID NOT NULL,
    name TEXT NOT NULL,
    definition JSON NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    from_file BOOLEAN DEFAULT false NOT NULL,
    fired_until TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    next_fire_at TIMESTAMP WITH TIME ZONE,
    due_at TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT client_schedules_name UNIQUE (client_id, name),
    FOREIGN KEY (client_id) REFERENCES clients (id) ON DELETE CASCADE
);

CREATE INDEX client_schedules_due ON client_schedules (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX client_schedules_client ON client_schedules (client_id, id)
"""

# When those that there are were fired nobody noted; it was not now.
FIRINGS = """
ALTER TABLE firings ALTER COLUMN job_id DROP NOT NULL;
ALTER TABLE firings ADD COLUMN fired_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;
UPDATE firings SET fired_at = fire_at;
ALTER TABLE firings ADD COLUMN skipped TEXT;
ALTER TABLE firings ADD COLUMN by_hand BOOLEAN DEFAULT false NOT NULL;

CREATE INDEX firings_made ON firings (schedule, fire_at) WHERE job_id IS NOT NULL;

CREATE INDEX firings_waiting ON firings (schedule, fire_at) WHERE job_id IS NULL AND skipped IS NULL;

CREATE INDEX firings_fire_at ON firings (fire_at)
"""


def upgrade() -> None:
    """A table that the version before does not know, and columns that it leaves to their defaults."""
    op.execute(SCHEDULES)
    op.execute(FIRINGS)
