"""One data source: its server, the tables that it declares, and what a job needs of them."""

from collections.abc import Iterator

from sqlalchemy import Connection, Inspector, inspect, text

from ops.doctor.finding import Finding, guarded
from ops.doctor.ledger import examine_version
from worker.adapters.sql.sources import Sources
from worker.definitions import LEDGER, Definitions, LoadTable, Source
from worker.settings import PREFIX, Settings, source_variable

# Not by the inspector, which warns of every type that it does not know.
_COLUMNS = text("""
    SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
""")
_MAY_WRITE = text("SELECT has_table_privilege(:table, 'INSERT')")
_MAY_CREATE = text("SELECT has_schema_privilege(:schema, 'CREATE')")


def examine_source(settings: Settings, known: Definitions, name: str) -> Iterator[Finding]:
    """See whether jobs could use the source as it is declared."""
    subject = f"source {name}"
    if name == LEDGER and settings.database_url is None:
        return  # nothing runs here, as another finding says
    if name != LEDGER and name not in settings.sources:
        yield Finding(subject, good=False, text=f"no URL: set {source_variable(name)}")
        return
    own = "DATABASE_READ_URL" if settings.database_read_url else "DATABASE_URL"
    variable = f"{PREFIX}{own}" if name == LEDGER else source_variable(name)
    advice = f"see that it runs where {variable} says"
    yield from guarded(subject, lambda: _examine(Sources(settings, known), subject, known, name), advice)


def _examine(sources: Sources, subject: str, known: Definitions, name: str) -> Iterator[Finding]:
    source = known.sources[name]
    written = bool(source.tables) or any(statement.source == name for statement in known.statements.values())
    with sources.reading(name) as connection:
        yield from examine_version(subject, connection)
        for named, table in source.tables.items():
            for problem in _problems(connection, named, table):
                yield Finding(subject, good=False, text=f"table {table.schema}.{named} {problem}")
        if written:
            yield from _examine_markers(subject, connection, source)


def _problems(connection: Connection, name: str, table: LoadTable) -> Iterator[str]:
    inspector = inspect(connection)
    if not inspector.has_table(name, table.schema):
        yield "is not there"
        return
    quoted = {"table": _quoted(connection, name, table.schema)}
    columns = set(connection.execute(_COLUMNS, quoted).scalars())
    if missing := sorted({*table.key, *table.columns} - columns):
        yield f"has no column {', '.join(missing)}"
    elif table.key and frozenset(table.key) not in _unique(inspector, name, table.schema):
        yield f"has no unique index over exactly {', '.join(table.key)}, and upsert needs one"
    if not connection.execute(_MAY_WRITE, quoted).scalar_one():
        yield "may not be written: GRANT INSERT and what its modes need to the role of the URL"


def _unique(inspector: Inspector, name: str, schema: str) -> set[frozenset[str | None]]:
    """The sets of columns by which `ON CONFLICT` can find a row."""
    primary = inspector.get_pk_constraint(name, schema)["constrained_columns"]
    return {frozenset(primary)} | {
        frozenset(index["column_names"])
        for index in inspector.get_indexes(name, schema)
        if index["unique"] and "postgresql_where" not in index.get("dialect_options", {})
    }


def _examine_markers(subject: str, connection: Connection, source: Source) -> Iterator[Finding]:
    schema, _, table = source.markers.partition(".")
    inspector = inspect(connection)
    if inspector.has_table(table, schema):
        return
    may = inspector.has_schema(schema) and connection.execute(_MAY_CREATE, {"schema": schema}).scalar_one()
    if not may:
        text_ = (
            f"table {source.markers}, which notes the jobs that were applied, is not there and cannot be made"
        )
        yield Finding(subject, good=False, text=f"{text_}: GRANT CREATE ON SCHEMA {schema}, or make it")


def _quoted(connection: Connection, name: str, schema: str) -> str:
    quote = connection.dialect.identifier_preparer.quote_identifier
    return f"{quote(schema)}.{quote(name)}"
