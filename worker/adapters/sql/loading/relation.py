"""The table that a file is loaded into, as PostgreSQL's catalog describes it."""

from typing import Any, NamedTuple

from psycopg2 import sql
from sqlalchemy import Connection, text

from worker.contract import Fatal
from worker.contract.ports import LoadRequest
from worker.definitions import LoadTable

# Domains are looked through: they bring constraints and defaults of their own.
_COLUMNS = text(
    """
    SELECT a.attname AS name,
           a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
           a.attnotnull OR t.typnotnull AS not_null,
           coalesce(nullif(t.typbasetype, 0), t.oid) IN ('json'::regtype, 'jsonb'::regtype) AS json,
           a.attgenerated <> '' OR a.attidentity = 'a' AS generated
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text)))
      AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
    """
)


class Column(NamedTuple):
    """A column that can be loaded."""

    name: str
    has_default: bool
    not_null: bool
    json: bool  # takes JSON text


class Relation(NamedTuple):
    """A table and those of its columns that this load may fill."""

    schema: str
    name: str
    columns: dict[str, Column]
    key: tuple[str, ...]  # by which upsert finds a row; empty otherwise

    @property
    def identifier(self) -> sql.Identifier:
        """Its quoted name."""
        return sql.Identifier(self.schema, self.name)

    @property
    def required(self) -> list[str]:
        """The columns for which every row must have a value."""
        return [
            column.name
            for column in self.columns.values()
            if column.name in self.key or (column.not_null and not column.has_default)
        ]

    def __str__(self) -> str:
        """As messages name it."""
        return f"{self.schema}.{self.name}"


def describe(connection: Connection, request: LoadRequest, declared: LoadTable) -> Relation:
    """Look the table up.

    Raises:
        Fatal: it is not there, or has a column that the definition names no more.
    """
    found = connection.execute(_COLUMNS, {"schema": declared.schema, "table": request.table}).all()
    if not found:
        raise Fatal(f"the data source {request.source!r} has no table {declared.schema}.{request.table}")
    return Relation(
        schema=declared.schema,
        name=request.table,
        columns={row.name: _column(row) for row in found if _loadable(row, declared)},
        key=declared.key if request.mode == "upsert" else (),
    )


def _loadable(row: Any, declared: LoadTable) -> bool:
    return not row.generated and (not declared.columns or row.name in declared.columns)


def _column(row: Any) -> Column:
    return Column(row.name, row.has_default, row.not_null, row.json)
