"""The agenda: in one cheap statement, whether there is anything for a beat to do."""

from datetime import datetime

import msgspec
from sqlalchemy import Connection, text


class Agenda(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a beat, at one moment of the ledger's clock."""

    moment: datetime
    firing: bool  # some schedule must be looked at
    due: bool  # some scheduled or retrying job's time has come
    expiring: bool  # some unclaimed job is past its expires_at
    publishable: bool  # some queued job is not published, though its queue may be paused
    published: bool  # some queued job is published: in the broker, in a worker's hands, or lost
    ended: bool  # some job ended from whose end something follows
    oldest_dispatch: datetime | None  # when the oldest dispatch that is under way began
    oldest_heartbeat: datetime | None  # of all leases; None: there is no worker


_READ = text("""
    SELECT *, EXISTS (SELECT FROM client_schedules WHERE due_at <= now()) AS firing FROM agenda_0007()
""")


def read(connection: Connection) -> Agenda:
    """Look; with nothing to do this costs PostgreSQL a fraction of a millisecond.

    It needs no transaction: see `Ledger.write_at_once`.
    """
    return Agenda(**connection.execute(_READ).mappings().one())
