"""Places in a job's life at which a test holds the process that works on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name

from ops.chaos.rig import Rig
from tests.awaiting import eventually

# What waits for a lock of ours, as PostgreSQL shows it.
_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'jobyard-worker' AND wait_event_type = 'Lock' AND query ILIKE %s
"""
_HOLD = 4711  # of an advisory lock
_HOLD_COMMIT = f"""
    CREATE OR REPLACE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({_HOLD});
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON attempts
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit();
"""
_LET_GO = "DROP TRIGGER hold_commit ON attempts"


def waiting(rig: Rig, statement: str, count: int) -> None:
    """Wait until so many statements of workers wait for a lock."""
    eventually(lambda: rig.sql(_WAITING, statement)[0][0] >= count)


@contextmanager
def locked(rig: Rig, statement: str, *values: object) -> Iterator[None]:
    """A lock of the ledger, held by a transaction of ours."""
    with rig.superuser() as connection, transaction(connection) as execute:
        execute(statement, *values)
        yield


@contextmanager
def commits_held(rig: Rig) -> Iterator[None]:
    """Hold every transaction that records an attempt at its COMMIT."""
    with rig.superuser() as connection, connection.cursor() as cursor:
        cursor.execute(_HOLD_COMMIT)
        cursor.execute("SELECT pg_advisory_lock(%s)", (_HOLD,))
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (_HOLD,))
            cursor.execute(_LET_GO)


@contextmanager
def transaction(connection: Connection) -> Iterator[Callable[..., None]]:
    """A transaction that is rolled back in the end."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")

        def execute(statement: str, *values: object) -> None:
            cursor.execute(statement, values)

        try:
            yield execute
        finally:
            cursor.execute("ROLLBACK")
