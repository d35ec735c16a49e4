"""Clients and their API keys. Only digests of keys are stored.

A key is 256 random bits, so a plain SHA-256 protects it as well as a slow password hash would (there is
nothing to guess), and a look-up costs one index probe.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from worker.contract.rights import Rights
from worker.ledger.ids import new_id
from worker.ledger.tables import api_keys, clients

KEY_PREFIX = "jy_"
_HINT_LENGTH = 10


class Client(msgspec.Struct, frozen=True):
    """Who owns jobs."""

    id: UUID
    name: str
    rights: Rights = Rights()  # of the key that it came with


def add_client(connection: Connection, name: str) -> Client | None:
    """Create a client; None where the name is taken."""
    client = Client(new_id(), name)
    new = insert(clients).values(id=client.id, name=name).on_conflict_do_nothing()
    return client if connection.execute(new).rowcount else None


def ensure_client(connection: Connection, name: str) -> Client:
    """The client of that name, created where there is none; safe when several do it at once."""
    connection.execute(insert(clients).values(id=new_id(), name=name).on_conflict_do_nothing())
    return Client(connection.execute(select(clients.c.id).where(clients.c.name == name)).scalar_one(), name)


def find_client(connection: Connection, name: str) -> Client | None:
    """A client by name."""
    row = connection.execute(select(clients.c.id, clients.c.name).where(clients.c.name == name)).one_or_none()
    return Client(row.id, row.name) if row else None


def all_clients(connection: Connection) -> Sequence[RowMapping]:
    """Every client, by name."""
    return connection.execute(select(clients).order_by(clients.c.name)).mappings().all()


def add_key(
    connection: Connection,
    client_id: UUID,
    label: str,
    expires_at: datetime | None = None,
    rights: Rights | None = None,
) -> tuple[UUID, str]:
    """Make a key and return its id and its text, which is nowhere else to be had afterwards.

    Args:
        connection: of an open transaction.
        client_id: whose key.
        label: what it is for.
        expires_at: when it ends; None: never.
        rights: the kinds that it may submit; None: all, those of later versions too.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    key_id = new_id()
    connection.execute(
        insert(api_keys).values(
            id=key_id,
            client_id=client_id,
            digest=_digest(key),
            hint=key[:_HINT_LENGTH],
            label=label,
            expires_at=expires_at,
            kinds=None if rights is None else list(rights.patterns),
        )
    )
    return key_id, key


def client_of_key(connection: Connection, key: str) -> Client | None:
    """Whose key it is; None where it is unknown, revoked or expired."""
    row = connection.execute(
        select(clients.c.id, clients.c.name, api_keys.c.kinds)
        .join(api_keys, api_keys.c.client_id == clients.c.id)
        .where(
            api_keys.c.digest == _digest(key),
            api_keys.c.revoked_at.is_(None),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
        )
    ).one_or_none()
    return Client(row.id, row.name, rights_of(row.kinds)) if row else None


def rights_of(kinds: Sequence[str] | None) -> Rights:
    """What the column `kinds` of a key means; its patterns were checked when they were written."""
    return Rights() if kinds is None else Rights(tuple(kinds))


def keys_of(connection: Connection, client_id: UUID) -> Sequence[RowMapping]:
    """The keys of a client, oldest first, without their digests."""
    columns = [column for column in api_keys.c if column.name != "digest"]
    wanted = select(*columns).where(api_keys.c.client_id == client_id).order_by(api_keys.c.id)
    return connection.execute(wanted).mappings().all()


def revoke_key(connection: Connection, key_id: UUID) -> bool:
    """End a key; False where it is unknown or ended already."""
    ended = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(ended.values(revoked_at=func.now())).rowcount > 0


def remove_client(connection: Connection, client_id: UUID) -> bool:
    """Delete a client with its keys; its jobs stay until they are pruned."""
    return connection.execute(delete(clients).where(clients.c.id == client_id)).rowcount > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
