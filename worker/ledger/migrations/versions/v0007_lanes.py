"""Which lane a beat fills, so that each is filled by one at a time."""

from alembic import op

revision = "0007"
down_revision = "0006"

unused_since = "0003"  # what it drops

# Beats of the version before name no lane, and are kept from none.
LANE = """
ALTER TABLE dispatches ADD COLUMN lane TEXT;

CREATE UNIQUE INDEX dispatches_lane ON dispatches (lane)
"""

# A new function beside agenda_0003(), which beats of the version before go on to call; the one before that
# has no caller left.
AGENDA = """
DROP FUNCTION agenda();

CREATE FUNCTION agenda_0007() RETURNS TABLE (
    moment timestamptz, due boolean, expiring boolean, publishable boolean, published boolean,
    ended boolean, oldest_dispatch timestamptz, oldest_heartbeat timestamptz
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
        (SELECT min(began_at) FROM dispatches),
        (SELECT min(heartbeat_at) FROM workers);
END $$
"""


def upgrade() -> None:
    """A column, an index and a function; what the version before uses stays as it is."""
    op.execute(LANE)
    op.execute(AGENDA)
