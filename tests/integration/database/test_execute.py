"""Named statements on a real PostgreSQL: what their parameters carry, and what comes back."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from tests.integration.database.warehouse import Warehouse
from worker.contract import Fatal, Retryable
from worker.definitions import Parameter

HOSTILE = (
    "'; DROP SCHEMA shop CASCADE; --",
    "\\'; DROP SCHEMA shop CASCADE; --",
    "' OR '1'='1",
    '"; DROP SCHEMA shop CASCADE; --',
    "$$; DROP SCHEMA shop CASCADE; $$",
    "\\",
    "E'\\''",
    "%(given)s %s %% :given",
    "\u00bf'\u02c8\uff07; DROP SCHEMA shop CASCADE",  # some encodings turn such into a quotation mark
    "/* ' */ -- ",
    "1); DELETE FROM shop.regions; --",
)
thoroughly = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def echo(warehouse: Warehouse, value: Any, **parameter: Any) -> Any:
    """What PostgreSQL makes of a parameter."""
    executed = warehouse.execute(
        "SELECT :given AS back", {"given": value}, parameters={"given": Parameter(**parameter)}
    )
    return executed.rows[0]["back"]


def untouched(warehouse: Warehouse) -> bool:
    return warehouse.rows("SELECT count(*) FROM shop.regions") == [(2,)]


@pytest.mark.parametrize("many", [False, True])
def test_a_hostile_text_is_a_text(warehouse: Warehouse, *, many: bool) -> None:
    for text in HOSTILE:
        value = [text] if many else text
        assert echo(warehouse, value, type="text", list=many) == value
    assert untouched(warehouse)


def test_a_hostile_text_in_json_is_a_text(warehouse: Warehouse) -> None:
    parameters = {"given": Parameter(type="json"), "listed": Parameter(type="json", list=True)}
    for text in HOSTILE:
        executed = warehouse.execute(
            "SELECT CAST(:given AS json) AS given, CAST(:listed AS json[]) AS listed",
            {"given": {text: text}, "listed": [text]},
            parameters=parameters,
        )
        assert executed.rows == [{"given": {text: text}, "listed": [text]}]
    assert untouched(warehouse)


@pytest.mark.parametrize("type_", ["integer", "number", "boolean", "date", "timestamp", "uuid"])
@pytest.mark.parametrize("many", [False, True])
def test_a_hostile_text_is_no_value_of_another_type(warehouse: Warehouse, type_: Any, *, many: bool) -> None:
    for text in HOSTILE:
        with pytest.raises(Fatal, match=r"params: given: (expected|invalid)"):
            echo(warehouse, [text] if many else text, type=type_, list=many)
    assert untouched(warehouse)


@thoroughly
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200))
def test_any_text_comes_back_as_it_was(warehouse: Warehouse, text: str) -> None:
    assert echo(warehouse, text, type="text") == text
    assert echo(warehouse, [text, text], type="text", list=True) == [text, text]


@thoroughly
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=10), inner, max_size=3
            )
        ),
        max_leaves=8,
    ).filter(lambda value: value is not None)
)
def test_any_json_comes_back_as_it_was(warehouse: Warehouse, value: Any) -> None:
    executed = warehouse.execute(
        "SELECT CAST(:given AS json) AS back", {"given": value}, parameters={"given": Parameter(type="json")}
    )
    assert executed.rows == [{"back": value}]


@thoroughly
@given(
    number=st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12)
)
def test_any_number_comes_back_to_the_last_digit(warehouse: Warehouse, number: Decimal) -> None:
    assert Decimal(echo(warehouse, str(number), type="number")) == number


@pytest.mark.parametrize(
    ("sql", "parameter", "value", "back"),
    [
        ("SELECT 5 -:given AS back", {"type": "integer"}, -3, 8),
        ("SELECT :given AS back", {"type": "integer"}, 2**63 - 1, 2**63 - 1),
        ("SELECT 1.5 -:given AS back", {"type": "number"}, -1.1, "2.6"),
        ("SELECT NOT :given AS back", {"type": "boolean"}, False, True),
        ("SELECT :given + 1 AS back", {"type": "date"}, "2026-02-28", "2026-03-01"),
        ("SELECT :given AS back", {"type": "timestamp"}, "2026-02-28T12:00:00+02:00", "2026-02-28T10:00:00Z"),
        (
            "SELECT :given AS back",
            {"type": "uuid"},
            "0190A7C0-0000-7000-8000-000000000001",
            "0190a7c0-0000-7000-8000-000000000001",
        ),
        ("SELECT CAST(:given AS jsonb) -> 'a' AS back", {"type": "json"}, {"a": [1]}, [1]),
        ("SELECT 2 = ANY(:given) AS back", {"type": "integer", "list": True}, [1, 2], True),
        ("SELECT 2 = ANY(:given) AS back", {"type": "integer", "list": True}, [], False),
        ("SELECT 'a' = ANY(:given) AS back", {"type": "text", "list": True}, ["b", "a"], True),
        ("SELECT 1.5 = ANY(:given) AS back", {"type": "number", "list": True}, [1, "1.5"], True),
        (
            "SELECT date '2026-01-01' = ANY(:given) AS back",
            {"type": "date", "list": True},
            ["2026-01-01"],
            True,
        ),
        (
            "SELECT CAST('0190a7c0-0000-7000-8000-000000000001' AS uuid) = ANY(:given) AS back",
            {"type": "uuid", "list": True},
            ["0190a7c0-0000-7000-8000-000000000001"],
            True,
        ),
        ("SELECT coalesce(:given, 7) AS back", {"type": "integer", "required": False}, None, 7),
        ("SELECT CAST(:given AS json) IS NULL AS back", {"type": "json", "required": False}, None, True),
    ],
)
def test_a_parameter_has_the_type_that_its_definition_says(
    warehouse: Warehouse, sql: str, parameter: dict[str, Any], value: Any, back: Any
) -> None:
    executed = warehouse.execute(sql, {"given": value}, parameters={"given": Parameter(**parameter)})
    assert executed.rows == [{"back": back}]


@pytest.mark.parametrize(
    ("sql", "back"),
    [
        ("SELECT 1.50::numeric AS back", "1.50"),
        ("SELECT 0.5::float8 AS back", 0.5),
        ("SELECT 'NaN'::float8 AS back", None),
        ("SELECT '\\x00ff'::bytea AS back", "AP8="),
        ("SELECT timestamp '2026-01-02 03:04:05' AS back", "2026-01-02T03:04:05"),
        ("SELECT time '03:04' AS back", "03:04:00"),
        ("SELECT interval '1 day 2 hours' AS back", "P1DT7200S"),
        ("SELECT ARRAY[[1, 2], [3, NULL]] AS back", [[1, 2], [3, None]]),
        ("SELECT json_build_object('a', 1.5) AS back", {"a": 1.5}),
        ("SELECT inet '10.0.0.1' AS back", "10.0.0.1"),
        ("SELECT int4range(1, 5) AS back", "[1, 5)"),
        ("SELECT NULL AS back", None),
    ],
)
def test_what_comes_back_is_json(warehouse: Warehouse, sql: str, back: Any) -> None:
    assert warehouse.execute(sql).rows == [{"back": back}]


@pytest.mark.parametrize(
    ("sql", "affected", "rows"),
    [
        ("INSERT INTO shop.regions VALUES ('west'), ('east')", 2, []),
        (
            "UPDATE shop.regions SET code = upper(code) RETURNING code",
            2,
            [{"code": "NORTH"}, {"code": "SOUTH"}],
        ),
        ("DELETE FROM shop.regions", 2, []),
        ("SELECT code FROM shop.regions ORDER BY code", 2, [{"code": "north"}, {"code": "south"}]),
        ("/* why */ -- and how\n table shop.regions", 2, [{"code": "north"}, {"code": "south"}]),
        ("WITH few AS (SELECT 1 AS a) SELECT a FROM few", 1, [{"a": 1}]),
        ("WITH gone AS (DELETE FROM shop.regions RETURNING 1) SELECT count(*) AS n FROM gone", 1, [{"n": 2}]),
        ("SELECT 1 AS a WHERE false", 0, []),
        ("CREATE TABLE shop.new (id integer)", 0, []),
    ],
)
def test_rows_affected_and_rows_are_told(
    warehouse: Warehouse, sql: str, affected: int, rows: list[dict[str, Any]]
) -> None:
    executed = warehouse.execute(sql)
    assert (executed.rows_affected, executed.rows) == (affected, rows)


@pytest.mark.parametrize(
    ("sql", "max_rows", "problem"),
    [
        ("SELECT generate_series(1, 11)", 10, "returned more than 10 rows"),
        ("SELECT generate_series(1, 100000000)", 10, "returned more than 10 rows"),  # not read to the end
        ("UPDATE shop.regions SET code = upper(code) RETURNING code", 1, "returned more than 1 rows"),
        ("DELETE FROM shop.regions RETURNING code", 0, "returned more than 0 rows"),
        ("DELETE FROM shop.regions RETURNING repeat('x', 1000000)", 9, "returned .* bytes, at most"),
        ("DELETE FROM shop.regions RETURNING 1 AS a, 2 AS a", 9, "the same name .a, a."),
        ("DELETE FROM shop.regions RETURNING 1 / 0", 9, "division by zero"),
        ("DELETE FROM shop.regions RETURNING date '0044-03-15 BC'", 9, "year -44 .* cast it to text"),
        ("SELECT date '0044-03-15 BC'", 9, "year -44 .* cast it to text"),
        ("DELETE FROM shop.nowhere", 9, 'relation "shop.nowhere" does not exist'),
        ("INSERT INTO shop.regions VALUES ('north')", 9, "duplicate key value violates unique constraint"),
    ],
)
def test_what_cannot_be_a_result_is_not_applied(
    warehouse: Warehouse, sql: str, max_rows: int, problem: str
) -> None:
    with pytest.raises(Fatal, match=problem):
        warehouse.execute(sql, max_rows=max_rows)
    assert warehouse.rows("SELECT code FROM shop.regions ORDER BY code") == [("north",), ("south",)]


def test_a_statement_past_its_time_limit_is_retried(warehouse: Warehouse) -> None:
    with pytest.raises(Retryable, match="longer than its time limit"):
        warehouse.execute("SELECT pg_sleep(60)", timeout=0.1)


def test_nothing_is_written_to_the_ledger(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match="nothing can be written to the data source 'ledger'"):
        warehouse.execute("DELETE FROM jobs", source="ledger")


def test_a_parameter_that_is_missing_or_unknown_is_named(warehouse: Warehouse) -> None:
    parameters = {"given": Parameter(type="text")}
    with pytest.raises(Fatal, match="params: the parameter 'given' is missing"):
        warehouse.execute("SELECT :given", parameters=parameters)
    with pytest.raises(Fatal, match="params: there is no parameter 'other'; there are: given"):
        warehouse.execute("SELECT :given", {"given": "", "other": 1}, parameters=parameters)


def test_a_percent_sign_is_one(warehouse: Warehouse) -> None:
    assert warehouse.execute("SELECT code FROM shop.regions WHERE code LIKE 'n%'").rows == [{"code": "north"}]


@pytest.mark.parametrize("cut_at", ["client_connection_check_interval", "INSERT INTO shop.applied", "cut me"])
def test_a_connection_that_is_cut_is_worth_another_attempt(warehouse: Warehouse, cut_at: str) -> None:
    def cut(_c: object, cursor: Any, statement: str, *_: object) -> None:
        if cut_at in statement:
            warehouse.rows(f"SELECT pg_terminate_backend({cursor.connection.info.backend_pid})")

    event.listen(Engine, "before_cursor_execute", cut)
    try:
        with pytest.raises(Retryable, match="not available"):
            warehouse.execute("UPDATE shop.regions SET code = 'cut me' WHERE code = 'north'")
    finally:
        event.remove(Engine, "before_cursor_execute", cut)
    assert untouched(warehouse)
