"""Rows of a query as a stream: whatever their number, a few hundred are in memory at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection, CursorResult, text

from worker.contract import Fatal
from worker.definitions.report import Format

BATCH = 500  # rows fetched at once

# The types of which more than their text is known, by their OIDs (pg_type.dat; they never change).
_TYPES: Mapping[int, Format] = MappingProxyType(
    {
        16: "boolean",
        20: "integer",  # int8
        21: "integer",  # int2
        23: "integer",  # int4
        700: "number",  # float4
        701: "number",  # float8
        1082: "date",
        1114: "timestamp",
        1184: "timestamp",  # with time zone
        1186: "duration",  # interval
        1700: "number",  # numeric
    }
)

# All rows are read, so plan for all of them, and not for the first tenth as PostgreSQL does for cursors.
_WHOLE = text("SET LOCAL cursor_tuple_fraction = 1")


class SqlColumn(NamedTuple):
    """A column of a query."""

    name: str
    type: Format


class Rows(NamedTuple):
    """What a query gives."""

    columns: tuple[SqlColumn, ...]
    batches: Iterator[Sequence[Sequence[Any]]]


def stream(connection: Connection, sql: str, values: Mapping[str, Any]) -> Rows:
    """Run a query through a cursor of the server; the batches can be read while the connection is open.

    Raises:
        DBAPIError: as PostgreSQL does; a cursor takes nothing but SELECT and VALUES.
    """
    connection.execute(_WHOLE)
    query = text(sql).execution_options(stream_results=True, max_row_buffer=BATCH)
    with representable():  # the first rows come with the execution
        result = connection.execute(query, values)
    return Rows(_columns(result), _batches(result))


def describe(connection: Connection, sql: str, values: Mapping[str, Any]) -> tuple[SqlColumn, ...]:
    """The columns of a query, which is planned and not run.

    Raises:
        DBAPIError: as PostgreSQL does.
    """
    connection.execute(text(f"DECLARE described NO SCROLL CURSOR FOR {sql}"), values)
    columns = _columns(connection.execute(text("FETCH 0 FROM described")))
    connection.execute(text("CLOSE described"))
    return columns


def _columns(result: CursorResult[Any]) -> tuple[SqlColumn, ...]:
    description: Sequence[Any] = result.cursor.description or ()
    return tuple(SqlColumn(name, _TYPES.get(oid, "text")) for name, oid, *_ in description)


def _batches(result: CursorResult[Any]) -> Iterator[Sequence[Sequence[Any]]]:
    with representable():
        yield from result.partitions(BATCH)


@contextmanager
def representable() -> Iterator[None]:
    """Turn away values that PostgreSQL has and Python has not: a date before the year 1, for one."""
    try:
        yield
    except ValueError as error:
        raise Fatal(f"a value that is beyond its type here ({error}): cast it to text") from error
