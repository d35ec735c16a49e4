"""The migrations make exactly the schema that `worker.ledger.tables` declares."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from worker.ledger import migrate
from worker.ledger.migrations.versions import v0010_schedules
from worker.ledger.tables import metadata

PARTITION = re.compile(r".*_(default|\d{8})")

COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default, ordinal_position
    FROM information_schema.columns WHERE table_schema = :schema ORDER BY 1, 6
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = :schema"
CONSTRAINTS = """
    SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = CAST(:schema AS regnamespace) AND contype <> 'n'
"""


@pytest.fixture
def declared(connection: Connection) -> Connection:
    """The declared tables, made in a schema of their own beside the migrated ones."""
    connection.exec_driver_sql("CREATE SCHEMA declared")
    connection.exec_driver_sql("SET LOCAL search_path TO declared")
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql("SET LOCAL search_path TO public")
    return connection


def described(connection: Connection, schema: str, query: str) -> list[str]:
    """What a schema consists of, without partitions, Alembic's own table, and the schema's name."""
    rows = ((str(field) for field in row) for row in connection.execute(text(query), {"schema": schema}))
    lines = (" | ".join(row).replace(f"{schema}.", "") for row in rows)
    others = re.compile(r"_default\b|_\d{8}\b|alembic_version")
    return sorted(line for line in lines if not others.search(line))


def test_alembic_finds_no_difference(connection: Connection) -> None:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": lambda name, kind, _: kind != "table" or not PARTITION.fullmatch(name or ""),
        },
    )

    assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("query", [COLUMNS, INDEXES, CONSTRAINTS], ids=["columns", "indexes", "constraints"])
def test_the_database_describes_both_in_the_same_words(declared: Connection, query: str) -> None:
    """Alembic compares no predicates of partial indexes; the database's own words do."""
    ours = described(declared, "declared", query)

    assert ours
    assert described(declared, "public", query) == ours


def test_upgrading_again_changes_nothing(connection: Connection) -> None:
    before = described(connection, "public", COLUMNS)

    migrate.upgrade(connection)

    assert described(connection, "public", COLUMNS) == before
    current, needed = migrate.pending(connection)
    assert current == needed != None  # noqa: E711 - reads as one chain


def test_firings_of_the_version_before_were_not_fired_at_the_upgrade(connection: Connection) -> None:
    for column in ("fired_at", "skipped", "by_hand"):
        connection.exec_driver_sql(f"ALTER TABLE firings DROP COLUMN {column}")
    connection.exec_driver_sql("DROP INDEX IF EXISTS firings_made, firings_waiting, firings_fire_at")
    connection.exec_driver_sql(
        "INSERT INTO firings VALUES ('tidy', '2026-01-31T06:00:00Z', gen_random_uuid())"
    )

    connection.exec_driver_sql(v0010_schedules.FIRINGS)

    assert connection.exec_driver_sql(
        "SELECT fired_at = fire_at FROM firings WHERE schedule = 'tidy'"
    ).scalar()


def test_partitions_have_the_columns_of_their_table_in_the_same_order(connection: Connection) -> None:
    """Rows move between them with `SELECT *`."""
    rows = connection.execute(text(COLUMNS), {"schema": "public"}).all()
    columns: dict[str, list[str]] = {}
    for table, column, *_ in rows:
        columns.setdefault(table, []).append(column)

    for table, names in columns.items():
        parent = re.sub(r"_(default|\d{8})$", "", table)
        assert names == columns[parent], table
