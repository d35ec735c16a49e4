"""Dispatches under way: what a beat marked as published and has not sent yet, should it die in between.

The moment names the jobs: `published_at` is that of the transaction that marked them.
"""

from uuid import UUID

from sqlalchemy import Connection, text

_BEGIN = text("""
    INSERT INTO dispatches (beat_id) VALUES (:beat_id) ON CONFLICT (beat_id) DO UPDATE SET began_at = now()
""")


def begin(connection: Connection, beat_id: UUID) -> None:
    """Note that a beat sends what this transaction marks as published."""
    connection.execute(_BEGIN, {"beat_id": beat_id})


_END = text("DELETE FROM dispatches WHERE beat_id = :beat_id")


def end(connection: Connection, beat_id: UUID) -> None:
    """Note that it sent everything."""
    connection.execute(_END, {"beat_id": beat_id})


_ABANDONED = text("""
    DELETE FROM dispatches WHERE began_at < now() - :age * interval '1 second' RETURNING began_at
""")

_FORGET = text("""
    UPDATE jobs SET published_at = NULL, publications = greatest(publications - 1, 0)
    WHERE state = 'queued' AND published_at IS NOT NULL
      AND published_at = ANY(CAST(:moments AS timestamptz[]))
""")


def forget_abandoned(connection: Connection, age: float) -> int:
    """Mark as unpublished what a beat began to send and did not; returns how many.

    Args:
        connection: of an open transaction.
        age: seconds after which a beat that did not end has died, or may as well have.
    """
    moments = connection.execute(_ABANDONED, {"age": age}).scalars().all()
    return connection.execute(_FORGET, {"moments": list(moments)}).rowcount if moments else 0
