"""Markers: rows in a source's own database that note which jobs were applied to it.

A marker is written in the transaction of what it notes, so there is one exactly where that was committed: an
attempt after a crash, or beside a twin that is still at it, finds out before it does anything.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from psycopg2.errors import (
    DuplicateObject,
    DuplicateTable,
    InsufficientPrivilege,
    InvalidSchemaName,
    UniqueViolation,
)
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    Uuid,
    delete,
    func,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from worker.adapters.sql.sources import Sources
from worker.contract import Fatal
from worker.ledger.ids import floor_of

KEPT = timedelta(days=60)  # far longer than a job lives
_FORGOTTEN_AT_ONCE = 50
_FORBIDDEN = (InsufficientPrivilege, InvalidSchemaName)  # what only the database's owner can mend
_MADE_ALREADY = (DuplicateObject, DuplicateTable, UniqueViolation)  # another job was faster, by more or less


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Whose effect is to happen once, and where."""

    id: str
    kind: str
    source: str
    timeout: float  # seconds that one statement may run, where the source does not allow less


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What a marker says of the effect."""

    result: dict[str, Any]  # nothing in it but what JSON has
    rejected: str | None = None
    repeated: bool = False  # an earlier attempt wrote it


class Markers:
    """The markers of all sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def once(self, job: Job, effect: Callable[[Connection], Note]) -> Note:
        """Let an effect happen in one transaction with its marker, or give what is noted of an earlier one.

        While a twin attempt is at it, this one waits for the twin's end.

        Raises:
            Fatal: there is no table of markers and none can be made; the text says how to make it.
        """
        table = _table(self._sources.find(job.source).markers)
        try:
            return self._once(job, table, effect)
        except _NoTable:
            self._create(job.source, table)
        return self._once(job, table, effect)

    def _once(self, job: Job, table: Table, effect: Callable[[Connection], Note]) -> Note:
        with self._sources.writing(job.source, job.timeout) as connection:
            if not inspect(connection).has_table(table.name, table.schema):
                raise _NoTable
            if not _mark(connection, table, job):
                return _noted(connection, table, job)
            note = effect(connection)
            _complete(connection, table, job, note)
            _forget(connection, table)
            return note

    def _create(self, source: str, table: Table) -> None:
        # In a transaction of its own: other jobs must not wait for the end of this one.
        with self._sources.writing(source) as connection:
            try:
                with connection.begin_nested():
                    connection.execute(CreateTable(table, if_not_exists=True))
            except DBAPIError as error:
                if isinstance(error.orig, _FORBIDDEN):
                    statement = CreateTable(table).compile(dialect=connection.dialect)
                    raise Fatal(_how_to_make(source, table, str(statement))) from error
                if not isinstance(error.orig, _MADE_ALREADY):
                    raise


class _NoTable(Exception):  # noqa: N818 - a condition, not a defect
    """The source has no table of markers yet."""


def _table(name: str) -> Table:
    schema, _, relation = name.partition(".")
    return Table(
        relation,
        MetaData(),
        Column("job_id", Uuid, primary_key=True),
        Column("kind", Text, nullable=False),
        Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("result", JSON),
        Column("rejected", Text),
        schema=schema,
    )


def _mark(connection: Connection, table: Table, job: Job) -> bool:
    """Whether this attempt is the first; it holds the row from then on, and twins wait for it."""
    row = postgresql.insert(table).values(job_id=UUID(job.id), kind=job.kind)
    return connection.execute(row.on_conflict_do_nothing()).rowcount == 1


def _noted(connection: Connection, table: Table, job: Job) -> Note:
    query = select(table.c.result, table.c.rejected).where(table.c.job_id == UUID(job.id))
    result, rejected = connection.execute(query).one()
    return Note(result=result, rejected=rejected, repeated=True)


def _complete(connection: Connection, table: Table, job: Job, note: Note) -> None:
    connection.execute(
        update(table).where(table.c.job_id == UUID(job.id)).values(result=note.result, rejected=note.rejected)
    )


def _forget(connection: Connection, table: Table) -> None:
    """Delete a few old markers, so that each new one pays for the oldest and the table does not grow."""
    limit = datetime.now(UTC) - KEPT
    old = (
        select(table.c.job_id)
        # By the key, which tells when a job was made; one may have been made long before it was applied.
        .where(table.c.job_id < floor_of(limit), table.c.applied_at < limit)
        .order_by(table.c.job_id)
        .limit(_FORGOTTEN_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    connection.execute(delete(table).where(table.c.job_id.in_(old.scalar_subquery())))


def _how_to_make(source: str, table: Table, statement: str) -> str:
    return (
        f"the data source {source!r} has no table that notes which jobs were applied, and Jobyard may not"
        f" make it. Let its owner run: {' '.join(statement.split())}; GRANT SELECT, INSERT, UPDATE, DELETE ON"
        f" {table.fullname} TO the role that {source!r} connects as"
    )
