"""Bring the schema of the ledger to the version of this code, with Alembic."""

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from worker.ledger import partitions

# A migration may take long, and two of them must not run at once.
_PREPARE = text("SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock(hashtext('jobyard migrate'))")


def upgrade(connection: Connection) -> None:
    """Migrate to the newest version and make the partitions of the days ahead.

    Everything happens in the transaction of the connection, so a failed migration leaves nothing.
    """
    connection.execute(_PREPARE)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    partitions.make_ahead(connection, datetime.now(UTC).date())


def pending(connection: Connection) -> tuple[str | None, str | None]:
    """(the version that the ledger has, the one that this code needs)."""
    current = MigrationContext.configure(connection).get_current_revision()
    return current, ScriptDirectory.from_config(_config()).get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "worker.ledger:migrations")
    config.set_main_option("path_separator", "os")
    return config
