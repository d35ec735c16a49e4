"""Schedules: one row each, of clients and of files, and when a beat looks at it next."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Connection, text

from worker.ledger import firings
from worker.ledger.ids import new_id
from worker.ledger.rows import uuid_array


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the ledger has it."""

    id: UUID
    client_id: UUID
    name: str
    definition: str  # JSON
    enabled: bool
    from_file: bool
    fired_until: datetime  # every fire time up to here has its job or was passed over on purpose
    next_fire_at: datetime | None  # None: it is disabled or over
    created_at: datetime
    updated_at: datetime

    @property
    def key(self) -> str:
        """What its firings call it: a file keeps its history when it is taken away and put back."""
        return self.name if self.from_file else str(self.id)


_COLUMNS = """id, client_id, name, CAST(definition AS text) AS definition, enabled, from_file, fired_until,
    next_fire_at, created_at, updated_at"""
_OWN = "(CAST(:client_id AS uuid) IS NULL OR client_id = :client_id)"


def now(connection: Connection) -> datetime:
    """When the transaction began, by the ledger's clock."""
    moment: datetime = connection.execute(text("SELECT now()")).scalar_one()
    return moment


def clock(connection: Connection) -> datetime:
    """The ledger's time at this moment, in the middle of a transaction."""
    moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


# ── by their owners ───────────────────────────────────────────────────────────────────────────────────

_ADD = text("""
    INSERT INTO client_schedules (id, client_id, name, definition, enabled, next_fire_at, due_at)
    VALUES (:id, :client_id, :name, CAST(:definition AS json), :enabled, :next_fire_at, :next_fire_at)
    ON CONFLICT (client_id, name) DO NOTHING
""")


def add(connection: Connection, new: Stored) -> bool:
    """Add a schedule that begins now: it owes nothing for the past; False where the name is taken."""
    words = msgspec.structs.asdict(new)
    return connection.execute(_ADD, words).rowcount > 0


_REPLACE = text("""
    UPDATE client_schedules
    SET name = :name, definition = CAST(:definition AS json), enabled = :enabled, updated_at = now(),
        fired_until = now(), next_fire_at = :next_fire_at, due_at = CASE WHEN :enabled THEN now() END
    WHERE id = :id
""")


def replace(connection: Connection, new: Stored) -> None:
    """Put what is new in the place of what was there; it owes nothing for the past.

    Raises:
        IntegrityError: another schedule of the client has its name.
    """
    connection.execute(_REPLACE, msgspec.structs.asdict(new))


_FIND = """
    SELECT {columns} FROM client_schedules WHERE id = :id AND {own} {lock}
"""
_LOOK_UP = text(_FIND.format(columns=_COLUMNS, own=_OWN, lock=""))
_LOCK = text(_FIND.format(columns=_COLUMNS, own=_OWN, lock="FOR UPDATE"))


def find(
    connection: Connection, schedule_id: UUID, client_id: UUID | None, *, lock: bool = False
) -> Stored | None:
    """A client's schedule (None: any client's), and hold it where it is to be changed."""
    words = {"id": schedule_id, "client_id": client_id}
    row = connection.execute(_LOCK if lock else _LOOK_UP, words).mappings().one_or_none()
    return Stored(**row) if row else None


_PAGE = """
    SELECT {columns} FROM client_schedules
    WHERE {own} AND (CAST(:name AS text) IS NULL OR name = :name)
      AND (CAST(:before AS uuid) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :size
"""
_LIST = text(_PAGE.format(columns=_COLUMNS, own=_OWN))


def page(
    connection: Connection,
    client_id: UUID | None,
    size: int,
    *,
    name: str | None = None,
    before: UUID | None = None,
) -> list[Stored]:
    """Schedules of a client (None: of all clients), newest first.

    Args:
        connection: of an open transaction.
        client_id: whose.
        size: at most so many.
        name: only of this name.
        before: only older ones than this: where the last page ended.
    """
    words = {"client_id": client_id, "name": name, "before": before, "size": size}
    return [Stored(**row) for row in connection.execute(_LIST, words).mappings()]


_COUNT = text("SELECT count(*) FROM client_schedules WHERE client_id = :client_id")


def count(connection: Connection, client_id: UUID) -> int:
    """How many a client has."""
    return int(connection.execute(_COUNT, {"client_id": client_id}).scalar_one())


_REMOVE = text("DELETE FROM client_schedules WHERE id = :id")


def remove(connection: Connection, schedule_id: UUID) -> None:
    """Delete a schedule; what it fired is kept for as long as jobs are."""
    connection.execute(_REMOVE, {"id": schedule_id})


# ── by beats ──────────────────────────────────────────────────────────────────────────────────────────

_DUE = """
    SELECT {columns}, now() AS now FROM client_schedules WHERE due_at <= now()
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
"""
_CLAIM = text(_DUE.format(columns=_COLUMNS))


def claim_due(connection: Connection, limit: int) -> list[tuple[Stored, datetime]]:
    """Hold schedules that a beat must look at until the transaction ends, each with the ledger's time."""
    found = []
    for row in connection.execute(_CLAIM, {"limit": limit}).mappings():
        fields = dict(row)
        now = fields.pop("now")
        found.append((Stored(**fields), now))
    return found


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Until when the fire times of a schedule are settled, and when it is looked at next."""

    id: UUID
    until: datetime
    next_fire_at: datetime | None
    due_at: datetime | None


_SETTLE = text("""
    UPDATE client_schedules s
    SET fired_until = new.until, next_fire_at = new.next_fire_at, due_at = new.due_at
    FROM json_to_recordset(CAST(:new AS json))
        AS new (id uuid, until timestamptz, next_fire_at timestamptz, due_at timestamptz)
    WHERE s.id = new.id
""")


def settle(connection: Connection, settled: Sequence[Settled]) -> None:
    """Note how far schedules are settled, in the transaction that claimed them."""
    if settled:
        connection.execute(_SETTLE, {"new": msgspec.json.encode(settled).decode()})


_PUT_OFF = text("""
    UPDATE client_schedules SET due_at = now() + :seconds * interval '1 second'
    WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def put_off(connection: Connection, ids: Sequence[UUID], seconds: float) -> None:
    """Leave schedules for later that this process cannot read."""
    if ids:
        connection.execute(_PUT_OFF, {"ids": uuid_array(ids), "seconds": seconds})


# ── of files ──────────────────────────────────────────────────────────────────────────────────────────

# A file that was fired by the version before goes on from there. A changed one owes a minute of the past at
# most, for what came while its beat was started again.
_SYNC = text("""
    INSERT INTO client_schedules AS s (id, client_id, name, definition, from_file, fired_until, due_at)
    VALUES (:id, :client_id, :name, CAST(:definition AS json), true,
            coalesce((SELECT fired_until FROM schedules WHERE name = :name), now()), now())
    ON CONFLICT (client_id, name) DO UPDATE
    SET definition = excluded.definition, from_file = true, updated_at = now(),
        fired_until = greatest(s.fired_until, now() - interval '1 minute'),
        due_at = CASE WHEN s.enabled THEN now() END
    WHERE NOT s.from_file OR CAST(s.definition AS text) <> CAST(excluded.definition AS text)
""")

# Of the version before too, or a file that comes back months later would owe all that time.
_FORGET = text("""
    WITH of_version_before AS (DELETE FROM schedules WHERE name <> ALL(CAST(:names AS text[])))
    DELETE FROM client_schedules WHERE from_file AND name <> ALL(CAST(:names AS text[]))
    RETURNING name
""")

GONE = "its file was taken away"


def sync(connection: Connection, client_id: UUID, files: Mapping[str, str]) -> None:
    """Make the schedules of files those that these files say.

    Args:
        connection: of an open transaction.
        client_id: whose they are.
        files: name → definition as JSON.
    """
    for name, definition in sorted(files.items()):
        words = {"id": new_id(), "client_id": client_id, "name": name, "definition": definition}
        connection.execute(_SYNC, words)
    for name in connection.execute(_FORGET, {"names": list(files)}).scalars().all():
        firings.skip_waiting(connection, name, GONE)
