"""The mark that beats left in the broker: where it is gone, the broker lost its data.

The ledger remembers which mark is there, so that every beat knows it, and one that starts. It is replaced
under a lock, by one beat at a time.
"""

from sqlalchemy import Connection, text

# A beat that is stopped in the middle of a replacement must not keep the others waiting.
_LOCK = text("""
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SELECT pg_advisory_xact_lock(hashtext('jobyard broker mark'))
""")

_CURRENT = text("SELECT name FROM broker_mark")

_REPLACE = text("""
    INSERT INTO broker_mark (name) VALUES (:name)
    ON CONFLICT (single) DO UPDATE SET name = excluded.name, left_at = now()
""")


def lock_current(connection: Connection) -> str | None:
    """The mark that should be in the broker, None before the first; nobody else replaces it meanwhile."""
    connection.execute(_LOCK)
    return connection.execute(_CURRENT).scalar_one_or_none()


def replace(connection: Connection, name: str) -> None:
    """Remember the mark that was left in the broker."""
    connection.execute(_REPLACE, {"name": name})
