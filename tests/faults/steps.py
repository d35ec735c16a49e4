"""Places in a job's life at which a test holds the process that works on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, whatever its name

from ops.chaos.rig import Rig
from tests.awaiting import eventually

# What waits for a lock of ours, as PostgreSQL shows it.
_WAITING = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = %s AND wait_event_type = 'Lock' AND query ILIKE %s
"""
_HOLD = 4711  # of an advisory lock
# Of a commit, which hangs as on a disk: the patience of workers with locks does not matter to it, nor who
# sent it, for whom the server looks once more within a second.
_HOLD_COMMIT = f"""
    CREATE OR REPLACE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql
    SET lock_timeout = 0 SET client_connection_check_interval = 0 AS $$
    BEGIN
        PERFORM pg_sleep(1.1);
        PERFORM pg_advisory_xact_lock_shared({_HOLD});
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON attempts
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit();
"""
_LET_GO = "DROP TRIGGER hold_commit ON attempts"

# What PostgreSQL says where its disk is full (class 53 of its error codes).
_REFUSE = """
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING ERRCODE = 'disk_full';
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON attempts FOR EACH ROW EXECUTE FUNCTION refuse();
"""
_REFUSE_NO_MORE = "DROP TRIGGER refuse ON attempts"

# What API processes hold back in a transaction that accepted a job.
_HOLD_ACCEPTED = f"""
    CREATE OR REPLACE FUNCTION hold_accepted() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared({_HOLD});
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold_accepted AFTER INSERT ON jobs
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_accepted();
"""
_ACCEPT = "DROP TRIGGER hold_accepted ON jobs"


def waiting(rig: Rig, statement: str, count: int, role: str = "worker") -> None:
    """Wait until so many statements of a role's processes wait for a lock."""
    eventually(lambda: rig.sql(_WAITING, f"jobyard-{role}", statement)[0][0] >= count)


def given_up(rig: Rig, statement: str, role: str = "worker") -> None:
    """Wait until the ledger has noticed that those are gone whose statements waited."""
    eventually(lambda: rig.sql(_WAITING, f"jobyard-{role}", statement)[0][0] == 0)


@contextmanager
def locked(rig: Rig, statement: str, *values: object) -> Iterator[None]:
    """A lock of the ledger, held by a transaction of ours."""
    with rig.superuser() as connection, transaction(connection) as execute:
        execute(statement, *values)
        yield


@contextmanager
def commits_held(rig: Rig) -> Iterator[None]:
    """Hold every transaction that records an attempt at its COMMIT."""
    with _held(rig, _HOLD_COMMIT, _LET_GO):
        yield


@contextmanager
def acceptance_held(rig: Rig) -> Iterator[None]:
    """Hold every transaction that accepts a job at its COMMIT."""
    with _held(rig, _HOLD_ACCEPTED, _ACCEPT):
        yield


@contextmanager
def no_room(rig: Rig) -> Iterator[None]:
    """Let PostgreSQL have no room on its disk for what an attempt ended in."""
    rig.sql(_REFUSE)
    try:
        yield
    finally:
        rig.sql(_REFUSE_NO_MORE)


@contextmanager
def _held(rig: Rig, hold: str, let_go: str) -> Iterator[None]:
    with rig.superuser() as connection, connection.cursor() as cursor:
        cursor.execute(hold)
        cursor.execute("SELECT pg_advisory_lock(%s)", (_HOLD,))
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", (_HOLD,))
            cursor.execute(let_go)


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
