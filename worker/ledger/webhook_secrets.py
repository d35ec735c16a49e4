"""What a client's callbacks are signed with: one secret, and after a rotation the old ones for a while.

Kept as they are, like everything a job carries: who can read the ledger can read what is signed as well.
"""

import secrets
from uuid import UUID

from sqlalchemy import Connection, text

from worker.ledger.ids import new_id

_LENGTH = 32  # bytes; Standard Webhooks asks for 24 to 64

# Of two who find none, one waits here for the other.
_LOCK = text("SELECT id FROM clients WHERE id = :client_id FOR NO KEY UPDATE")
_LIVE = text("""
    SELECT secret FROM webhook_secrets
    WHERE client_id = :client_id AND (expires_at IS NULL OR expires_at > now())
    ORDER BY expires_at DESC NULLS FIRST
""")
_ADD = text("INSERT INTO webhook_secrets (id, client_id, secret) VALUES (:id, :client_id, :secret)")
_RETIRE = text("""
    UPDATE webhook_secrets SET expires_at = least(expires_at, now() + :overlap * interval '1 second')
    WHERE client_id = :client_id
""")
_FORGET = text("DELETE FROM webhook_secrets WHERE client_id = :client_id AND expires_at <= now()")


def live(connection: Connection, client_id: UUID) -> list[bytes]:
    """The secrets that sign for a client, newest first; the first look makes one.

    None at all where the client was removed.
    """
    found = _read(connection, client_id)
    if not found and connection.execute(_LOCK, {"client_id": client_id}).one_or_none():
        found = _read(connection, client_id) or [_add(connection, client_id)]
    return found


def rotate(connection: Connection, client_id: UUID, overlap: float) -> bytes:
    """Make a client a new secret; those it has sign too for `overlap` seconds more."""
    connection.execute(_LOCK, {"client_id": client_id})
    connection.execute(_RETIRE, {"client_id": client_id, "overlap": overlap})
    connection.execute(_FORGET, {"client_id": client_id})
    return _add(connection, client_id)


def _read(connection: Connection, client_id: UUID) -> list[bytes]:
    return [bytes(secret) for secret in connection.execute(_LIVE, {"client_id": client_id}).scalars()]


def _add(connection: Connection, client_id: UUID) -> bytes:
    secret = secrets.token_bytes(_LENGTH)
    connection.execute(_ADD, {"id": new_id(), "client_id": client_id, "secret": secret})
    return secret
