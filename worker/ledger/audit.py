"""The audit log: who did what as an operator or an admin. Rows are only added."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, insert, select, text

from worker.ledger.ids import new_id
from worker.ledger.tables import audit

SHORTEST = 30 * 86400.0  # seconds that an entry is kept at least: a trigger refuses to delete it before


def note(connection: Connection, actor: str, act: str, subject: str, **details: Any) -> None:
    """Add an entry, in the transaction of the act.

    Args:
        connection: of that transaction.
        actor: who did it.
        act: what was done: `key.revoke`.
        subject: to what.
        details: what else is to be known; no secrets, and only what JSON can carry.
    """
    row = {"id": new_id(), "actor": actor, "act": act, "subject": subject, "details": details or None}
    connection.execute(insert(audit).values(row))


def page(
    connection: Connection, size: int, *, act: str | None = None, before: UUID | None = None
) -> Sequence[RowMapping]:
    """Entries, newest first.

    Args:
        connection: of an open transaction.
        size: at most so many.
        act: only of this act.
        before: only older ones than this: where the last page ended.
    """
    wanted = select(audit).order_by(audit.c.id.desc()).limit(size)
    if act is not None:
        wanted = wanted.where(audit.c.act == act)
    if before is not None:
        wanted = wanted.where(audit.c.id < before)
    return connection.execute(wanted).mappings().all()


_FORGET = text("""
    DELETE FROM audit WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM audit WHERE acted_at < :cutoff LIMIT :limit FOR UPDATE SKIP LOCKED))
""")


def forget(connection: Connection, cutoff: datetime, limit: int) -> int:
    """Forget entries before the cutoff, which must be `SHORTEST` ago or longer; returns how many."""
    return connection.execute(_FORGET, {"cutoff": cutoff, "limit": limit}).rowcount
