"""Idempotency keys: which job a client's earlier request with the same key made.

After the IETF draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header-07).
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

_REMEMBER = text("""
    INSERT INTO idempotency_keys (client_id, key, fingerprint, job_id)
    VALUES (:client_id, :key, :fingerprint, :job_id)
    ON CONFLICT (client_id, key) DO NOTHING
""")

_EARLIER = text("""
    SELECT fingerprint, job_id FROM idempotency_keys WHERE client_id = :client_id AND key = :key
""")


# The patience is for the keys: it ends with the statement, also where no key was new.
_REMEMBER_MANY = text("""
    SET LOCAL lock_timeout = :patience;
    WITH remembered AS (
        INSERT INTO idempotency_keys (client_id, key, fingerprint, job_id)
        SELECT client_id, key, decode(fingerprint, 'hex'), job_id
        FROM json_to_recordset(CAST(:wishes AS json))
            AS wish (client_id uuid, key text, fingerprint text, job_id uuid)
        ORDER BY client_id, key
        ON CONFLICT (client_id, key) DO NOTHING
        RETURNING job_id
    )
    SELECT coalesce(array_agg(CAST(job_id AS text)), '{}'), set_config('lock_timeout', '0', true)
    FROM remembered
""")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """A key, and the job that it shall stand for."""

    client_id: UUID
    key: str
    fingerprint: bytes
    job_id: UUID


def remember_many(connection: Connection, wishes: Sequence[Wish], patience: str) -> set[UUID]:
    """Note which jobs keys stand for, no key twice, in the transaction that makes the jobs.

    Args:
        connection: of that transaction.
        wishes: the keys.
        patience: with others who hold one of these keys, as PostgreSQL's `lock_timeout`.

    Returns:
        The jobs whose keys are new; the caller must not enqueue the others.
    """
    rows = [msgspec.structs.asdict(wish) | {"fingerprint": wish.fingerprint.hex()} for wish in wishes]
    words = {"wishes": msgspec.json.encode(rows).decode(), "patience": patience}
    return set(map(UUID, connection.execute(_REMEMBER_MANY, words).scalar_one()))


class Earlier(msgspec.Struct, frozen=True):
    """The request that used the key first."""

    fingerprint: bytes
    job_id: UUID


def remember(
    connection: Connection, client_id: UUID, key: str, fingerprint: bytes, job_id: UUID
) -> Earlier | None:
    """Note which job a key stands for, in the job's own transaction.

    A twin in flight makes this wait until the other transaction ended.

    Returns:
        None where the key is new; otherwise what it stands for, and the caller must not enqueue.
    """
    words = {"client_id": client_id, "key": key, "fingerprint": fingerprint, "job_id": job_id}
    if connection.execute(_REMEMBER, words).rowcount:
        return None
    row = connection.execute(_EARLIER, words).one()
    return Earlier(bytes(row.fingerprint), row.job_id)
