"""Idempotency keys: which job a client's earlier request with the same key made.

After the IETF draft "The Idempotency-Key HTTP Header Field" (draft-ietf-httpapi-idempotency-key-header-07).
"""

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
