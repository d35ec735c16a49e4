"""Files into tables of a real PostgreSQL: what is loaded, and how."""

import gzip
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest

from tests.integration.database.warehouse import Warehouse, reasons
from worker.contract import Cancelled, Fatal
from worker.contract.ports import Loaded


def test_a_csv_is_appended_with_the_types_of_the_table(warehouse: Warehouse) -> None:
    loaded = warehouse.load(
        'id,name,age,born,extra\n1,Ada,36,1815-12-10,"{""a"": [1, null]}"\n2,"Grace, the\nAdmiral",,,\n'
    )
    assert loaded == Loaded(rows_applied=2, rows_rejected=0)
    assert warehouse.rows("SELECT id, name, age, born, extra, score FROM shop.people ORDER BY id") == [
        (1, "Ada", 36, date(1815, 12, 10), {"a": [1, None]}, Decimal("1.5")),
        (2, "Grace, the\nAdmiral", None, None, None, Decimal("1.5")),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "tab\there",
        r"back\slash \N \. \t",
        "two\nlines",
        "carriage\r\nreturn",
        "ünï ☃ 𝄞",
        "'); DROP TABLE x;--",
    ],
)
def test_every_text_arrives_as_it_was(warehouse: Warehouse, name: str) -> None:
    quoted = name.replace('"', '""')
    warehouse.load(f'id,name\n1,"{quoted}"\n')
    warehouse.load(json.dumps({"id": 2, "name": name}), format="ndjson")
    assert warehouse.names() == {1: name, 2: name}


def test_a_byte_order_mark_other_line_ends_and_empty_lines_do_no_harm(warehouse: Warehouse) -> None:
    warehouse.load(b"\xef\xbb\xbfid;name\r\n\r\n1;Ada\r\n2;Grace", delimiter=";")
    assert warehouse.names() == {1: "Ada", 2: "Grace"}


def test_fields_are_renamed_to_columns(warehouse: Warehouse) -> None:
    warehouse.load("No.,name\n1,Ada\n", columns={"No.": "id"})
    warehouse.load('{"No.": 2, "name": "Grace"}', format="ndjson", columns={"No.": "id"})
    assert warehouse.names() == {1: "Ada", 2: "Grace"}


def test_the_null_marker_says_what_is_null(warehouse: Warehouse) -> None:
    warehouse.load("id,name,mail\n1,,NULL\n", null="NULL")
    assert warehouse.rows("SELECT name, mail FROM shop.people") == [("", None)]


def test_names_of_columns_are_quoted(warehouse: Warehouse) -> None:
    warehouse.load('"who\'s "" there"\nAda\n', table="visits")
    assert warehouse.rows("SELECT * FROM shop.visits") == [(1, "Ada", "kept", "KEPT")]


def test_numbers_of_json_lose_no_digit_and_objects_fit_json(warehouse: Warehouse) -> None:
    line = '{"id": 1, "name": "Ada", "score": 0.12345678901234567890123, "extra": {"b": 1.10, "a": ["x"]}}'
    warehouse.load(line, format="ndjson")
    assert warehouse.rows("SELECT score, extra::text FROM shop.people") == [
        (Decimal("0.12345678901234567890123"), '{"a": ["x"], "b": 1.10}')
    ]


@pytest.mark.parametrize("written", ['"text"', "1.50", "true", "[1]", '{"a": null}'])
def test_any_json_fits_a_json_column(warehouse: Warehouse, written: str) -> None:
    warehouse.load(f'{{"id": 1, "name": "Ada", "extra": {written}}}', format="ndjson")
    assert warehouse.rows("SELECT extra::text FROM shop.people") == [(written,)]


def test_what_a_line_of_json_leaves_out_gets_its_default(warehouse: Warehouse) -> None:
    warehouse.load(
        '{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Grace", "score": null, "age": 5}', format="ndjson"
    )
    assert warehouse.rows("SELECT id, age, score FROM shop.people ORDER BY id") == [
        (1, None, Decimal("1.5")),
        (2, 5, None),
    ]


def test_a_line_of_json_that_gives_nothing_is_rejected(warehouse: Warehouse) -> None:
    warehouse.write("CREATE TABLE shop.few (id serial, day date DEFAULT now())")
    loaded = warehouse.load('{"id": 7}\n{}\n', table="few", format="ndjson", max_rejected=1)
    assert reasons(loaded) == {2: "gives no column a value"}
    assert warehouse.rows("SELECT id FROM shop.few") == [(7,)]


def test_upsert_adds_and_updates_and_leaves_other_columns_alone(warehouse: Warehouse) -> None:
    warehouse.load("id,name,age\n1,Ada,36\n2,Grace,85\n")
    loaded = warehouse.load("id,name\n2,Grace Hopper\n3,Edsger\n", mode="upsert")
    assert loaded.rows_applied == 2
    assert warehouse.rows("SELECT id, name, age FROM shop.people ORDER BY id") == [
        (1, "Ada", 36),
        (2, "Grace Hopper", 85),
        (3, "Edsger", None),
    ]


def test_upsert_of_json_keeps_what_a_line_leaves_out(warehouse: Warehouse) -> None:
    warehouse.load("id,name,age\n1,Ada,36\n")
    warehouse.load(
        '{"id": 1, "name": "A"}\n{"id": 1, "name": "B", "score": 2}', format="ndjson", mode="upsert"
    )
    assert warehouse.rows("SELECT name, age, score FROM shop.people") == [("B", 36, Decimal(2))]


def test_upsert_of_lines_with_different_columns_keeps_their_order(warehouse: Warehouse) -> None:
    lines = [
        '{"id": 1, "name": "Ada", "age": 1}',
        '{"id": 1, "name": "Eve"}',
        '{"id": 1, "name": "Bob", "age": 2}',
    ]
    loaded = warehouse.load("\n".join([*lines, lines[1]]), mode="upsert", format="ndjson")
    assert loaded.rows_applied == 4
    assert warehouse.rows("SELECT name, age FROM shop.people") == [("Eve", 2)]


def test_of_two_rows_with_the_same_key_the_later_one_stands(warehouse: Warehouse) -> None:
    warehouse.load("id,name\n" + "".join(f"{n % 3},name {n}\n" for n in range(9000)), mode="upsert")
    assert warehouse.names() == {0: "name 8997", 1: "name 8998", 2: "name 8999"}


def test_upsert_of_nothing_but_the_key_adds_what_is_missing(warehouse: Warehouse) -> None:
    warehouse.load("code\nwest\nnorth\n", table="regions", mode="upsert")
    assert warehouse.rows("SELECT code FROM shop.regions ORDER BY code") == [
        ("north",),
        ("south",),
        ("west",),
    ]


def test_upsert_refuses_a_row_without_its_key(warehouse: Warehouse) -> None:
    loaded = warehouse.load("id,name\n,Nobody\n1,Ada\n", mode="upsert", max_rejected=1)
    assert reasons(loaded)[2].startswith("id: null value")
    assert warehouse.names() == {1: "Ada"}


def test_replace_shows_readers_the_old_rows_until_it_is_done(warehouse: Warehouse) -> None:
    warehouse.load("id,name\n1,Old\n")
    seen = []

    def between(_: int) -> None:
        seen.append(warehouse.names())

    warehouse.load("id,name\n1,New\n2,Newer\n", mode="replace", between=between)
    assert seen == [{1: "Old"}]
    assert warehouse.names() == {1: "New", 2: "Newer"}


def test_a_load_reads_in_pieces_and_says_how_far_it_is(warehouse: Warehouse) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"id,na"
        for number in range(12_000):
            yield b"me\n" if number == 0 else b""
            yield b"%d,A" % number
            yield b"da\n"

    reports: list[int] = []
    loaded = warehouse.load(pieces(), between=reports.append)
    assert len(reports) > 1
    assert reports == sorted(reports)
    assert reports[-1] == 12_000
    assert loaded.rows_applied == 12_000


def test_a_cancelled_load_leaves_nothing(warehouse: Warehouse) -> None:
    def between(_: int) -> None:
        raise Cancelled("a cancel was requested")

    with pytest.raises(Cancelled):
        warehouse.load("id,name\n1,Ada\n", between=between)
    assert warehouse.names() == {}


def test_a_table_that_is_not_declared_is_refused_with_those_that_are(warehouse: Warehouse) -> None:
    with pytest.raises(
        Fatal, match="takes no loads into 'applied'; its tables are: few, people, regions, visi"
    ):
        warehouse.load("job_id\n", table="applied")


def test_a_mode_that_is_not_declared_is_refused_with_those_that_are(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match="'visits' takes no replace; its modes are: append"):
        warehouse.load("secret\n", table="visits", mode="replace")


def test_a_source_that_is_not_declared_or_has_no_database_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match="there is no data source 'elsewhere'"):
        warehouse.load("id\n", source="elsewhere")
    with pytest.raises(Fatal, match="takes no loads into 'jobs'; its tables are: none"):
        warehouse.load("id\n", source="ledger", table="jobs")


def test_a_table_that_is_gone_is_named(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match=r"has no table shop\.few"):
        warehouse.load("id\n", table="few")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("id,name,shoe,hat\n", "there is no column 'hat', 'shoe' to load in shop.people, only id, name, age"),
        ("id,name,id\n", "the column 'id' is named twice"),
        ("id,age\n", "the column 'name' is missing, and has no default"),
        ("", "line 1 must name the columns, and is empty"),
        ("\nid,name\n", "line 1 must name the columns, and is empty"),
        ('id,"na"me\n', "line 1, which must name the columns, is no CSV"),
        (gzip.compress(b"id,name\n", mtime=0), "line 1"),
        (",".join(f"c{number:06}" for number in range(100_000)), "^.{,400}'c000009' and 99990 more to load"),
    ],
)
def test_a_header_that_does_not_fit_the_table_is_refused(
    warehouse: Warehouse, file: str | bytes, problem: str
) -> None:
    with pytest.raises(Fatal, match=problem):
        warehouse.load(file)


def test_columns_that_postgresql_makes_itself_cannot_be_loaded(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match="no column 'loud', 'number' to load"):
        warehouse.load("number,loud,secret\n", table="visits")


def test_a_renaming_of_a_field_that_is_not_there_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(Fatal, match="there is no field 'Nmae' to rename"):
        warehouse.load("id,name\n", columns={"Nmae": "name"})
