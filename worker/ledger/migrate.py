"""Bring the schema of the ledger to the version of this code, with Alembic."""

from datetime import UTC, datetime

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from worker.ledger import partitions


class TablesInUse(Exception):  # noqa: N818 - a condition that callers expect, not a defect
    """A table that the migration changes stayed locked; nothing was changed."""


# A migration may take long, and two of them must not run at once. But whoever waits for the lock on a table
# makes all others wait behind him: a claim behind a migration behind a dump.
_PREPARE = text("""
    SET LOCAL statement_timeout = 0;
    SELECT pg_advisory_xact_lock(hashtext('jobyard migrate'));
    SET LOCAL lock_timeout = '2s'
""")


def upgrade(connection: Connection, version: str = "head") -> None:
    """Migrate to a version, the newest, and make the partitions of the days ahead.

    Everything happens in the transaction of the connection, so a failed migration leaves nothing.

    Raises:
        TablesInUse: another transaction goes on using a table that must change; try again later.
    """
    try:
        _upgrade(connection, version)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise TablesInUse from error
        raise


def _upgrade(connection: Connection, version: str) -> None:
    connection.execute(_PREPARE)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, version)
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
