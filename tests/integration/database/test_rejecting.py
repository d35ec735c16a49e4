"""Rows that a real PostgreSQL refuses: which ones, why, and when nothing is applied."""

import csv
import io
import re
from typing import Any

import pytest

from tests.integration.database.warehouse import Warehouse, reasons

EVERY_MODE = pytest.mark.parametrize("mode", ["append", "upsert", "replace"])

# What is wrong with the row, and the words that say so.
FLAWS = [
    ("7,Bad,ten,,", "age: invalid input syntax for type smallint"),
    ("7,Bad,99999,,", "age: value .99999. is out of range"),
    ("7,,5,,", "name: null value in column .name. .* violates not-null constraint"),
    ("7,Bad,-5,,", "violates check constraint .people_age_check."),
    ("7,Bad,5,taken@example.org,", "mail: duplicate key value violates unique constraint"),
    ("7,Bad,5,,west", "region: insert or update on table .people. violates foreign key constraint"),
    ("7,Bad,5,", "has 4 fields, and the header 5"),
    ("7,Bad,5,,,", "has 6 fields, and the header 5"),
    ('7,"B"ad,5,,', "expected after"),
    ("7,B\0d,5,,", "holds a NUL character"),
]


@EVERY_MODE
@pytest.mark.parametrize(("row", "reason"), FLAWS)
def test_a_bad_row_is_rejected_and_the_good_ones_around_it_are_applied(
    warehouse: Warehouse, mode: str, row: str, reason: str
) -> None:
    file = f"id,name,age,mail,region\n1,Ada,36,taken@example.org,north\n{row}\n2,Grace,85,,south\n"
    loaded = warehouse.load(file, mode=mode, max_rejected=1)
    assert (loaded.rows_applied, loaded.rows_rejected, loaded.refusal) == (2, 1, None)
    (rejected,) = csv.DictReader(io.StringIO(loaded.rejected, newline=""))
    assert rejected["line"] == "3"
    assert rejected["row"] == row.replace("\0", "\ufffd")
    assert warehouse.names() == {1: "Ada", 2: "Grace"}
    assert re.search(reason, rejected["reason"])


def test_bytes_that_are_no_utf_8_are_rejected(warehouse: Warehouse) -> None:
    loaded = warehouse.load(b"id,name\n1,Ada\n2,Gr\xe4ce\n", max_rejected=1)
    assert reasons(loaded) == {3: "is not UTF-8"}
    assert warehouse.names() == {1: "Ada"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1]", "is no JSON object: Expected `object`, got `array`"),
        ('{"id": 7', "is no JSON object: Input data was truncated"),
        ('{"id": 7, "name": "x", "hat": 1}', "there is no column 'hat' to load"),
        ('{"id": 7, "name": ["x"]}', "name: an object or an array fits no column but json"),
        ('{"id": 7, "No": 8, "name": "x"}', "two fields are for the same column"),
        ('{"id": 7, "name": null}', 'name: null value in column "name"'),
        ('{"id": 7}', 'name: null value in column "name"'),
        ("{}", 'id: null value in column "id"'),
        ('{"id": 7.5, "name": "x"}', 'id: invalid input syntax for type integer: "7.5"'),
        ('{"id": 7, "name": "x", "age": true}', 'age: invalid input syntax for type smallint: "true"'),
        ('{"id": 7, "name": "\\u0000"}', "holds a NUL character"),
        ('{"id": 7, "name": "\\ud800 x"}', "is no JSON object"),
        ('{"id": 7, "name": "x", "extra": {"a": "\\u0000"}}', "extra: unsupported Unicode escape sequence"),
        ('{"id": 7, "name": "x", "extra": ' + "[" * 100_000 + "]" * 100_000 + "}", "is no JSON object"),
    ],
)
def test_a_line_that_is_no_row_is_rejected(warehouse: Warehouse, line: str, reason: str) -> None:
    loaded = warehouse.load(
        f'{{"id": 1, "name": "Ada"}}\n\n{line}\n{{"id": 2, "name": "Grace"}}\n',
        format="ndjson",
        max_rejected=1,
        columns={"No": "id"},
    )
    assert reasons(loaded)[3].startswith(reason)
    assert warehouse.names() == {1: "Ada", 2: "Grace"}


def test_a_record_of_several_lines_is_named_by_its_first(warehouse: Warehouse) -> None:
    loaded = warehouse.load('id,name\n1,"a\nb"\nx,"c\nd\ne"\ny,f\n', max_rejected=9)
    assert sorted(reasons(loaded)) == [4, 7]
    assert warehouse.names() == {1: "a\nb"}


@EVERY_MODE
def test_with_one_row_too_many_rejected_nothing_is_applied_and_every_reason_is_told(
    warehouse: Warehouse, mode: str
) -> None:
    warehouse.load("id,name\n1,Old\n")
    loaded = warehouse.load("id,name\n2,New\nx,Bad\n3,Good\ny,Bad\n", mode=mode, max_rejected=1)
    assert (loaded.rows_applied, loaded.rows_rejected) == (0, 2)
    assert loaded.refusal is not None
    assert loaded.refusal.startswith("rejected rows: 2, allowed: 1 (the first: line 3: id: invalid")
    assert sorted(reasons(loaded)) == [3, 5]
    assert warehouse.names() == {1: "Old"}


def test_a_file_that_is_bad_throughout_is_not_read_to_its_end(warehouse: Warehouse) -> None:
    loaded = warehouse.load("id,name\n" + "x,Bad\n" * 3000, max_rejected=5)
    assert loaded.rows_rejected == 1001
    assert loaded.refusal is not None
    assert loaded.refusal.endswith("the file was not read further")


def test_a_quotation_that_swallows_lines_refuses_the_file(warehouse: Warehouse) -> None:
    """Between the stray mark and the next one are rows that nobody would miss."""
    loaded = warehouse.load('id,name\ntoo few\n1,"Ada\n2,Grace\n3,"Edsger"\n', max_rejected=99)
    assert loaded.refusal is not None
    assert loaded.refusal.startswith("the quotation that begins in line 3 goes wrong in line 5")
    assert list(reasons(loaded)) == [2]
    assert warehouse.names() == {}


def test_a_record_without_end_is_not_read_into_memory(warehouse: Warehouse) -> None:
    endless: Any = (piece for piece in [b'id,name\n1,"', *[b"many words\n" * 10_000] * 100])
    loaded = warehouse.load(endless)
    assert loaded.refusal == "the record of line 2 is larger than 8388608 bytes"


def test_a_trigger_that_refuses_a_row_is_quoted(warehouse: Warehouse) -> None:
    warehouse.write(
        """
        CREATE FUNCTION shop.no_bobs() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.name = 'Bob' THEN RAISE EXCEPTION 'no Bobs here'; END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER no_bobs BEFORE INSERT ON shop.people FOR EACH ROW EXECUTE FUNCTION shop.no_bobs();
        """
    )
    loaded = warehouse.load("id,name\n1,Ada\n2,Bob\n3,Grace\n", max_rejected=1)
    assert reasons(loaded) == {3: "no Bobs here"}
    assert warehouse.names() == {1: "Ada", 3: "Grace"}


@EVERY_MODE
@pytest.mark.parametrize("flaw", ["name,age,-5,north", ",age,5,north", "name,age,5,nowhere"])
def test_bad_rows_are_found_wherever_they_stand_in_a_large_file(
    warehouse: Warehouse, mode: str, flaw: str
) -> None:
    good, bad = "Ada,36,north", flaw.replace("age,", "")
    at = {1, 2, 777, 4998, 4999, 5000, 9_999, 10_000}
    rows = [f"{number},{bad if number in at else good}" for number in range(1, 10_001)]
    loaded = warehouse.load("id,name,age,region\n" + "\n".join(rows), mode=mode, max_rejected=len(at))
    assert set(reasons(loaded)) == {number + 1 for number in at}
    assert warehouse.rows("SELECT count(*) FROM shop.people") == [(10_000 - len(at),)]


def test_rejected_rows_are_no_formulas_and_cut(warehouse: Warehouse) -> None:
    loaded = warehouse.load(f"name,id\n=1+1,x\n@SUM(A1),x\n{'long ' * 500},x\n", max_rejected=3)
    rows = [row["row"] for row in csv.DictReader(io.StringIO(loaded.rejected, newline=""))]
    assert rows[:2] == ["'=1+1,x", "'@SUM(A1),x"]
    assert len(rows[2]) == 500
