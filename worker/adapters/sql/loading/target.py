"""Where the rows of a load go: straight into the table, or over a temporary one."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from psycopg2 import sql
from sqlalchemy import Connection

from worker.adapters.sql.loading.block import Block
from worker.adapters.sql.loading.relation import Relation
from worker.adapters.sql.loading.row import CHUNK_ROWS, Row
from worker.contract.ports.database import Mode

_STAGE = sql.Identifier("jobyard_stage")
_LINE = sql.Identifier("line in the file")  # no name that a table would have
_SAVEPOINT = sql.Identifier("jobyard_block")
_AT_ONCE = 64 * 1024  # bytes for each call of libpq
# Whether a field stands for NULL does not go by its quotation marks.
_COPY_BLOCK = sql.SQL(
    "RELEASE SAVEPOINT {savepoint}; SAVEPOINT {savepoint};"
    " COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, ENCODING 'UTF8', DELIMITER {delimiter},"
    " NULL {null}, FORCE_NULL ({columns}))"
)


class Target(Protocol):
    """Takes rows that have the same columns."""

    def put(self, rows: Sequence[Row]) -> None:
        """Write all of them, or raise psycopg2's error."""


class Append:
    """COPY straight into the table."""

    def __init__(self, connection: Connection, relation: Relation) -> None:
        self._cursor = _cursor(connection)
        self._table = relation.identifier
        self._cursor.execute(sql.SQL("SAVEPOINT {}").format(_SAVEPOINT))

    def put(self, rows: Sequence[Row]) -> None:
        """Add the rows."""
        columns = list(map(sql.Identifier, rows[0].columns))
        _copy(self._cursor, self._table, columns, (row.data for row in rows))

    def put_block(self, block: Block) -> None:
        """Add the rows of a block, behind a savepoint that goes to the server with them."""
        statement = _COPY_BLOCK.format(
            savepoint=_SAVEPOINT,
            table=self._table,
            columns=sql.SQL(", ").join(map(sql.Identifier, block.columns)),
            delimiter=sql.Literal(block.delimiter),
            null=sql.Literal(block.null),
        )
        self._cursor.copy_expert(statement, io.BytesIO(block.data), size=_AT_ONCE)

    def take_back(self) -> None:
        """Undo the block that was put last, of which PostgreSQL refused a row."""
        self._cursor.execute(sql.SQL("ROLLBACK TO SAVEPOINT {}").format(_SAVEPOINT))


class Replace(Append):
    """The same, after everything was deleted; readers see the old rows until the commit."""

    def __init__(self, connection: Connection, relation: Relation) -> None:
        cursor, table = _cursor(connection), relation.identifier
        # Of two that replace at once the second waits here, and deletes what the first one wrote.
        cursor.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(table))
        cursor.execute(sql.SQL("DELETE FROM {}").format(table))
        super().__init__(connection, relation)


class Upsert:
    """COPY into a temporary table, and from there INSERT … ON CONFLICT."""

    def __init__(self, connection: Connection, relation: Relation) -> None:
        self._cursor = _cursor(connection)
        self._table = relation.identifier
        self._key = relation.key
        self._staged = 0  # rows that the temporary table was given since it was emptied
        columns = sql.SQL(", ").join(map(sql.Identifier, relation.columns))
        self._cursor.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT 0::bigint AS {}, {} FROM {} WITH NO DATA"
            ).format(_STAGE, _LINE, columns, self._table)
        )
        for name in self._key:  # nothing can be found by a key that is NULL
            self._cursor.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL").format(_STAGE, sql.Identifier(name))
            )

    def put(self, rows: Sequence[Row]) -> None:
        """Add the rows, or update those with the same key; of two with the same key the later one stands."""
        columns = rows[0].columns
        self._make_room(len(rows))
        _copy(
            self._cursor,
            _STAGE,
            [_LINE, *map(sql.Identifier, columns)],
            (b"%d\t%b" % (row.line, row.data) for row in rows),
        )
        self._cursor.execute(self._merge(columns, since=rows[0].line))

    def _make_room(self, rows: int) -> None:
        # Rows come by their lines, so those of earlier parts need not go before each: to empty a table takes
        # longer than to write and merge a few rows, and a file can be such that all its parts are small.
        if self._staged >= CHUNK_ROWS:
            self._cursor.execute(sql.SQL("TRUNCATE {}").format(_STAGE))
            self._staged = 0
        self._staged += rows

    def _merge(self, columns: Sequence[str], since: int) -> sql.Composed:
        return sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {stage}"
            " WHERE {line} >= {since} ORDER BY {key}, {line} DESC ON CONFLICT ({key}) {action}"
        ).format(
            table=self._table,
            columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
            key=sql.SQL(", ").join(map(sql.Identifier, self._key)),
            stage=_STAGE,
            line=_LINE,
            since=sql.Literal(since),
            action=self._action([name for name in columns if name not in self._key]),
        )

    def _action(self, columns: Sequence[str]) -> sql.Composable:
        if not columns:
            return sql.SQL("DO NOTHING")
        assignments = (
            sql.SQL("{} = {}").format(sql.Identifier(name), sql.Identifier("excluded", name))
            for name in columns
        )
        return sql.SQL("DO UPDATE SET {}").format(sql.SQL(", ").join(assignments))


_TARGETS: Mapping[Mode, type[Append | Upsert]] = {"append": Append, "replace": Replace, "upsert": Upsert}


def target(connection: Connection, relation: Relation, mode: Mode) -> Target:
    """Prepare the table for a load."""
    # Each chunk is to be checked when it is written, and not at the commit, where no row is named.
    _cursor(connection).execute("SET CONSTRAINTS ALL IMMEDIATE")
    return _TARGETS[mode](connection, relation)


def _cursor(connection: Connection) -> Any:
    """A cursor of psycopg2: SQLAlchemy has no COPY."""
    return connection.connection.cursor()


def _copy(
    cursor: Any, table: sql.Identifier, columns: Iterable[sql.Identifier], data: Iterable[bytes]
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT text, ENCODING 'UTF8')")
    cursor.copy_expert(statement.format(table, sql.SQL(", ").join(columns)), io.BytesIO(b"".join(data)))
