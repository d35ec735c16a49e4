"""Dispatches under way: which beat fills which lane, and what it marked as published and has not sent yet.

One beat fills a lane at a time: two would send their halves of a backlog in turns, and its order would be
lost. Should a beat die meanwhile, the moment names its jobs: `published_at` is that of the transaction that
marked them.
"""

from uuid import UUID

from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from worker.ledger import messages

# Where another beat's note is not committed yet, or its end is not, the insertion waits for that; a beat
# that was stopped in the middle must not keep the others from all lanes. What follows may wait again.
_BEGIN = text("""
    SET LOCAL lock_timeout = '50ms';
    INSERT INTO dispatches (beat_id, lane) VALUES (:beat_id, :lane) ON CONFLICT DO NOTHING
    RETURNING set_config('lock_timeout', '0', true)
""")


def begin(connection: Connection, beat_id: UUID, lane: str) -> bool:
    """Note that a beat sends to a lane what this transaction marks as published.

    Args:
        connection: of an open transaction.
        beat_id: which beat; it fills one lane after the other.
        lane: queue of the broker.

    Returns:
        Whether it may: no other beat fills the lane.
    """
    try:
        with connection.begin_nested():
            return connection.execute(_BEGIN, {"beat_id": beat_id, "lane": lane}).one_or_none() is not None
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        return False


_END = text("DELETE FROM dispatches WHERE beat_id = :beat_id")


def end(connection: Connection, beat_id: UUID) -> None:
    """Note that it sent everything, or that nothing of it counts as published."""
    connection.execute(_END, {"beat_id": beat_id})


# A note that somebody has locked is being taken away.
_ABANDONED = text("""
    DELETE FROM dispatches WHERE beat_id IN (
        SELECT beat_id FROM dispatches WHERE began_at < now() - :age * interval '1 second'
        FOR UPDATE SKIP LOCKED)
    RETURNING began_at
""")

# And such a job is being claimed, so its message did leave.
_UNSENT = text("""
    SELECT id FROM jobs
    WHERE state = 'queued' AND published_at IS NOT NULL
      AND published_at = ANY(CAST(:moments AS timestamptz[]))
    FOR UPDATE SKIP LOCKED
""")


def forget_abandoned(connection: Connection, age: float) -> int:
    """Mark as unpublished what a beat began to send and did not, and free its lane; returns how many.

    Args:
        connection: of an open transaction.
        age: seconds after which a beat that did not end has died, or may as well have.
    """
    moments = connection.execute(_ABANDONED, {"age": age}).scalars().all()
    if not moments:
        return 0
    ids = connection.execute(_UNSENT, {"moments": list(moments)}).scalars().all()
    messages.unpublish(connection, ids)
    return len(ids)
