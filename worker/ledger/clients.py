"""Clients and their API keys. Only digests of keys are stored.

A key is 256 random bits, so a plain SHA-256 protects it as well as a slow password hash would (there is
nothing to guess), and a look-up costs one index probe.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from worker.contract.rights import Rights
from worker.contract.scopes import Scope, Scopes
from worker.ledger.ids import new_id
from worker.ledger.rows import uuid_array
from worker.ledger.tables import api_keys, clients

KEY_PREFIX = "jy_"
_HINT_LENGTH = 10
_BYTES = 32  # of chance in a key
_FORM = re.compile(re.escape(KEY_PREFIX) + r"[A-Za-z0-9_-]{43}")  # that many bytes in base64


class Client(msgspec.Struct, frozen=True):
    """Who owns jobs."""

    id: UUID
    name: str
    # Of the key that it came with:
    key_id: UUID | None = None
    rights: Rights = Rights()
    scopes: Scopes = Scopes()

    @property
    def reach(self) -> UUID | None:
        """Whose jobs it may see and act on: its own by their client's id; None: every client's."""
        return None if self.scopes.allow(Scope.OPERATE) else self.id


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


def name_of(connection: Connection, client_id: UUID) -> str | None:
    """The name of a client; None where it was removed."""
    return connection.execute(select(clients.c.name).where(clients.c.id == client_id)).scalar()


def names_of(connection: Connection, ids: Collection[UUID]) -> dict[UUID, str]:
    """The names of clients by their ids; one that was removed is left out."""
    rows = connection.execute(select(clients.c.id, clients.c.name).where(clients.c.id.in_(ids)))
    return {row.id: row.name for row in rows}


def all_clients(connection: Connection) -> Sequence[RowMapping]:
    """Every client, by name."""
    return connection.execute(select(clients).order_by(clients.c.name)).mappings().all()


def add_key(
    connection: Connection,
    client_id: UUID,
    label: str,
    expires_at: datetime | None = None,
    *,
    rights: Rights | None = None,
    scopes: Scopes | None = None,
) -> tuple[UUID, str]:
    """Make a key and return its id and its text, which is nowhere else to be had afterwards.

    Args:
        connection: of an open transaction.
        client_id: whose key.
        label: what it is for.
        expires_at: when it ends; None: never.
        rights: the kinds that it may submit; None: all, those of later versions too.
        scopes: what it may do; None: submit and read.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(_BYTES)
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
            scopes=sorted((scopes or Scopes()).given),
        )
    )
    return key_id, key


def is_key(text: str) -> bool:
    """Whether a text has the form of a key; what has not is none, without a look into the ledger."""
    return _FORM.fullmatch(text) is not None


def client_of_key(connection: Connection, key: str) -> Client | None:
    """Whose key it is; None where it is unknown, revoked or expired."""
    digest = _digest(key)
    row = connection.execute(
        select(
            clients.c.id,
            clients.c.name,
            api_keys.c.id.label("key_id"),
            api_keys.c.digest,
            api_keys.c.kinds,
            api_keys.c.scopes,
        )
        .join(api_keys, api_keys.c.client_id == clients.c.id)
        .where(
            api_keys.c.digest == digest,
            api_keys.c.revoked_at.is_(None),
            or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > func.now()),
        )
    ).one_or_none()
    # The index finds by a digest that nobody can choose; what decides takes the same time for all of them.
    if row is None or not hmac.compare_digest(bytes(row.digest), digest):
        return None
    return Client(row.id, row.name, row.key_id, rights_of(row.kinds), scopes_of(row.scopes))


_GOOD_KEYS = text("""
    SELECT client_id, kinds, scopes FROM api_keys
    WHERE client_id = ANY(CAST(:ids AS uuid[])) AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > now())
""")


def good_keys(connection: Connection, ids: Collection[UUID]) -> dict[UUID, list[tuple[Rights, Scopes]]]:
    """What each key of some clients may do that is neither revoked nor expired; one without is left out."""
    found: dict[UUID, list[tuple[Rights, Scopes]]] = {}
    for row in connection.execute(_GOOD_KEYS, {"ids": uuid_array(list(ids))}):
        found.setdefault(row.client_id, []).append((rights_of(row.kinds), scopes_of(row.scopes)))
    return found


_USED = text("""
    UPDATE api_keys SET last_used_at = now()
    WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
""")


def note_use(connection: Connection, key_id: UUID | None) -> None:
    """Note that a key is in use, at most once a minute."""
    connection.execute(_USED, {"id": key_id})


def rights_of(kinds: Sequence[str] | None) -> Rights:
    """What the column `kinds` of a key means; its patterns were checked when they were written."""
    return Rights() if kinds is None else Rights(tuple(kinds))


def scopes_of(names: Sequence[str]) -> Scopes:
    """What the column `scopes` of a key means; one that a later version gave means nothing here."""
    return Scopes(frozenset(scope for scope in Scope if scope in names))


def keys_of(connection: Connection, client_id: UUID) -> Sequence[RowMapping]:
    """The keys of a client, oldest first, without their digests."""
    columns = [column for column in api_keys.c if column.name != "digest"]
    wanted = select(*columns).where(api_keys.c.client_id == client_id).order_by(api_keys.c.id)
    return connection.execute(wanted).mappings().all()


_RETIRE = text("""
    UPDATE api_keys SET expires_at = least(expires_at, now() + :overlap * interval '1 second')
    WHERE id = :id AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    RETURNING client_id, label, kinds, scopes,
              (SELECT now() + (k.expires_at - k.created_at) FROM api_keys k WHERE k.id = :id) AS until
""")


def rotate_key(connection: Connection, key_id: UUID, overlap: float) -> tuple[UUID, str] | None:
    """Make a key in the place of another one, with its rights, and for as long as that one was made.

    Args:
        connection: of an open transaction.
        key_id: the old key.
        overlap: seconds for which the old key is still good.

    Returns:
        The new key's id and its text; None where the old one is unknown or ended already.
    """
    old = connection.execute(_RETIRE, {"id": key_id, "overlap": overlap}).one_or_none()
    if old is None:
        return None
    rights = None if old.kinds is None else rights_of(old.kinds)
    scopes = scopes_of(old.scopes)
    return add_key(connection, old.client_id, old.label, old.until, rights=rights, scopes=scopes)


def find_key(connection: Connection, key_id: UUID) -> RowMapping:
    """A key that there is, without its digest, and with the name of its `client`."""
    columns = [column for column in api_keys.c if column.name != "digest"]
    wanted = select(*columns, clients.c.name.label("client")).join(clients).where(api_keys.c.id == key_id)
    return connection.execute(wanted).mappings().one()


def revoke_key(connection: Connection, key_id: UUID) -> bool:
    """End a key; False where it is unknown or ended already."""
    ended = update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    return connection.execute(ended.values(revoked_at=func.now())).rowcount > 0


def remove_client(connection: Connection, client_id: UUID) -> bool:
    """Delete a client with its keys; its jobs stay until they are pruned."""
    return connection.execute(delete(clients).where(clients.c.id == client_id)).rowcount > 0


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
