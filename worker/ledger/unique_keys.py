"""Unique keys: of a client's jobs with the same key only one stands at a time."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, text

_TAKE = text("""
    INSERT INTO unique_keys (client_id, key, job_id, states, until)
    VALUES (:client_id, :key, :job_id, CAST(:states AS text[]), now() + :seconds * interval '1 second')
    ON CONFLICT (client_id, key) DO NOTHING
""")

# Of two submissions at once the second waits here for the first; the next statement sees what that has made.
_LOCK = text("SELECT job_id FROM unique_keys WHERE client_id = :client_id AND key = :key FOR UPDATE")

_TAKE_OVER = text("""
    UPDATE unique_keys
    SET job_id = :job_id, states = CAST(:states AS text[]), created_at = now(),
        until = now() + :seconds * interval '1 second'
    WHERE client_id = :client_id AND key = :key
      AND (until <= now() OR job_id = :job_id
           OR NOT EXISTS (SELECT FROM jobs WHERE id = :holder AND state = ANY(unique_keys.states)))
""")


def hold(
    connection: Connection,
    client_id: UUID,
    key: str,
    job_id: UUID,
    *,
    states: Collection[str],
    seconds: float | None,
) -> UUID | None:
    """Let a new job hold a key, in the job's own transaction.

    Args:
        connection: of that transaction.
        client_id: whose key it is.
        key: the client's own word.
        job_id: the new job.
        states: in which the job holds the key.
        seconds: for how long at most; None: for as long as it is in one of the states.

    Returns:
        None where it holds the key now; otherwise the job that does, and the caller must not enqueue.
    """
    words = {"client_id": client_id, "key": key, "job_id": job_id, "states": list(states), "seconds": seconds}
    if connection.execute(_TAKE, words).rowcount:
        return None
    holder: UUID = connection.execute(_LOCK, words).scalar_one()
    return None if connection.execute(_TAKE_OVER, words | {"holder": holder}).rowcount else holder
