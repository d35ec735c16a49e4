"""What a key may do and when it was used, and a log of what operators did."""

from alembic import op

revision = "0005"
down_revision = "0004"

# Keys of the version before could do both.
TABLES = """
ALTER TABLE api_keys ADD COLUMN scopes TEXT[] DEFAULT '{submit,read}' NOT NULL;
ALTER TABLE api_keys ADD COLUMN last_used_at TIMESTAMP WITH TIME ZONE;

CREATE TABLE audit (
    id UUID NOT NULL,
    acted_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    actor TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    details JSON,
    PRIMARY KEY (id)
);

CREATE INDEX audit_acted ON audit (acted_at)
"""

# Triggers, because the roles connect as the owner of the tables, whom no missing right would stop.
APPEND_ONLY = """
CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.acted_at < now() - interval '30 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is only added to, and kept for 30 days at least';
END $$;

CREATE TRIGGER audit_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION keep_audit();

CREATE TRIGGER audit_whole BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()
"""


def upgrade() -> None:
    """Two columns that the version before leaves to their defaults, and a table that it does not know."""
    op.execute(TABLES)
    op.execute(APPEND_ONLY)
