"""Unique keys: of a client's jobs with the same key only one stands at a time."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from worker.ledger.records import UniqueKey
from worker.ledger.rows import uuid_array

_WISHES = """
    unnest(CAST(:keys AS text[]), CAST(:ids AS uuid[]), CAST(:states AS text[]), CAST(:windows AS float[]))
    AS w (key, id, states, seconds)
"""

# Sorted by key, so that two submissions with the same keys wait for one another in one direction.
_TAKE = text(f"""
    INSERT INTO unique_keys (client_id, key, job_id, states, until)
    SELECT :client_id, key, id, string_to_array(states, ','), now() + seconds * interval '1 second'
    FROM {_WISHES} ORDER BY key
    ON CONFLICT (client_id, key) DO NOTHING
    RETURNING key
""")

# Of two submissions at once the second waits here for the first; the next statement sees what that has made.
_LOCK = text("""
    SELECT key, job_id FROM unique_keys WHERE client_id = :client_id AND key = ANY(CAST(:keys AS text[]))
    ORDER BY key FOR UPDATE
""")

_TAKE_OVER = text(f"""
    UPDATE unique_keys u
    SET job_id = w.id, states = string_to_array(w.states, ','), created_at = now(),
        until = now() + w.seconds * interval '1 second'
    FROM {_WISHES}
    WHERE u.client_id = :client_id AND u.key = w.key
      AND (u.until <= now() OR u.job_id = w.id
           OR NOT EXISTS (SELECT FROM jobs
                          WHERE id = ANY(CAST(:holders AS uuid[])) AND id = u.job_id
                            AND state = ANY(u.states)))
    RETURNING u.key
""")


def hold(connection: Connection, client_id: UUID, wishes: Mapping[UUID, UniqueKey]) -> dict[UUID, UUID]:
    """Let new jobs hold their keys, in the transaction that makes the jobs.

    Args:
        connection: of that transaction.
        client_id: whose keys they are.
        wishes: the key of each new job, no key twice.

    Returns:
        For each job whose key another job holds, that other job: the caller must not enqueue it.
    """
    by_key = {wish.key: job_id for job_id, wish in wishes.items()}
    if len(by_key) < len(wishes):
        raise ValueError("two of the jobs have the same unique key")
    if not wishes:
        return {}
    words = _words(client_id, wishes)
    taken = set(connection.execute(_TAKE, words).scalars())
    if len(taken) == len(wishes):
        return {}
    left = _words(client_id, {id_: wish for id_, wish in wishes.items() if wish.key not in taken})
    holders = {row.key: row.job_id for row in connection.execute(_LOCK, left)}
    over = connection.execute(_TAKE_OVER, left | {"holders": uuid_array(list(holders.values()))})
    for key in over.scalars():
        del holders[key]
    return {by_key[key]: holder for key, holder in holders.items()}


_WANTING = """
    WITH wanting AS (
        SELECT id, client_id, unique_key AS key FROM jobs
        WHERE id = ANY(CAST(:ids AS uuid[])) AND unique_key IS NOT NULL AND state IN ('failed', 'cancelled')
          AND (CAST(:client_id AS uuid) IS NULL OR client_id = :client_id)
    )
"""

# As with `_LOCK`: who waited here for somebody else sees with the next statement what that has made.
_LOCK_WANTED = text(f"""
    {_WANTING}
    SELECT FROM unique_keys u JOIN wanting w ON w.client_id = u.client_id AND w.key = u.key
    ORDER BY u.client_id, u.key FOR UPDATE OF u
""")

# A key that nobody holds goes back to the job; its window, which began with the job, is over. Of two that
# want the same key the later one gets it.
_TAKE_BACK = text(f"""
    {_WANTING}, chosen AS (
        SELECT DISTINCT ON (client_id, key) * FROM wanting ORDER BY client_id, key, id DESC
    ), keys AS (
        SELECT u.*, c.id AS wanting FROM unique_keys u
        JOIN chosen c ON u.client_id = c.client_id AND u.key = c.key
    ), held AS (
        SELECT k.wanting FROM keys k JOIN jobs h ON h.id = k.job_id
        WHERE k.job_id <> k.wanting AND (k.until IS NULL OR k.until > now()) AND h.state = ANY(k.states)
    ), back AS (
        UPDATE unique_keys u SET job_id = k.wanting FROM keys k
        WHERE u.client_id = k.client_id AND u.key = k.key AND k.wanting NOT IN (SELECT wanting FROM held)
    )
    SELECT id FROM wanting WHERE id NOT IN (SELECT id FROM chosen) OR id IN (SELECT wanting FROM held)
""")


def take_back(connection: Connection, ids: Sequence[UUID], client_id: UUID | None) -> list[UUID]:
    """Let jobs that are to run again hold their keys again; returns those that nothing keeps from it."""
    words = {"ids": uuid_array(ids), "client_id": client_id}
    connection.execute(_LOCK_WANTED, words)
    kept = set(connection.execute(_TAKE_BACK, words).scalars())
    return [id_ for id_ in ids if id_ not in kept]


def _words(client_id: UUID, wishes: Mapping[UUID, UniqueKey]) -> dict[str, object]:
    return {
        "client_id": client_id,
        "keys": [wish.key for wish in wishes.values()],
        "ids": uuid_array(list(wishes)),
        "states": [",".join(wish.states) for wish in wishes.values()],
        "windows": [wish.window for wish in wishes.values()],
    }
