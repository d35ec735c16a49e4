"""A CSV that goes to PostgreSQL in blocks is read as it is row by row, whatever is in it."""

import pytest

from tests.integration.database.warehouse import Warehouse
from worker.adapters.sql.loading import block
from worker.adapters.sql.loading.writer import Writer

GOOD = b"101,Ada,\r\n102,Grace,g@example.com\r\n"
FILES = {
    "nothing": b"",
    "quoted": b'1,"a ""b"" c","two\nlines"\n2,"",""\n',
    "a quotation inside": b'1,a"b,\n2,"Ada",\n',
    "text after a quotation": b'1,"Ada"x,\n2,Ada,\n',
    "a quotation without an end": b'1,Ada,\n2,"Grace,\n3,Mary,\n',
    "too few and too many": b"1,Ada\n2,Ada,,\n3,Ada,\n",
    "empty lines": b"\n1,Ada,\n\r\n\n2,Grace,\n",
    "a carriage return": b"1,A\rda,\n2,Grace,\n",
    "the end of a copy": b"1,Ada,\n\\.\n2,Grace,\n",
    "the end of a copy inside": b'1,"Ada\n\\.\n",\n2,Grace,\n',
    "escapes of copy": b"1,\\N \\t \\\\,\\N\n2,N/A,NULL\n",
    "no end of the last line": b"1,Ada,\n2,Grace,",
    "no UTF-8": b"1,\xff,\n2,Grace,\n",
    "NUL": b"1,A\0,\n2,Grace,\n",
    "spaces": b' 1 , Ada , \n2, "Grace",\n',
    "bad values": b"1,Ada,\nx,Grace,\n3,,\n3,Mary,\n3,Twice,\n",
    "other delimiters": b"1;2;3\n4\t5\t6\n",
}


@pytest.fixture(params=[20, block.SIZE], ids=["small blocks", "usual blocks"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "SIZE", request.param)


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("null", ["", "N/A", '"', ","])
def test_a_file_is_read_in_blocks_as_it_is_row_by_row(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch, null: str
) -> None:
    files = {name: b"id,name,mail\r\n" + GOOD + content for name, content in FILES.items()}
    in_blocks = {name: loaded(warehouse, file, null) for name, file in files.items()}
    monkeypatch.setattr(block.Blocks, "of", lambda *_: iter(()))
    assert in_blocks == {name: loaded(warehouse, file, null) for name, file in files.items()}


@pytest.mark.usefixtures("size")
@pytest.mark.parametrize("delimiter", [";", "\t", "|", "]", "^", "\\", "a"])
def test_any_delimiter_may_divide_a_block(warehouse: Warehouse, delimiter: str) -> None:
    lines = (("id", "n_me"), ("1", "Grace"), ("2", "^]\\"), ("3", '"x;\t|"'))
    file = "".join(f"{number}{delimiter}{name}\n" for number, name in lines if delimiter not in name)
    expected = {int(number): name.strip('"') for number, name in lines[1:] if delimiter not in name}
    warehouse.load(file, delimiter=delimiter, columns={"n_me": "name"})
    assert warehouse.names() == expected


def test_a_good_file_goes_in_blocks(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Writer, "write", None)
    assert warehouse.load(b"id,name,mail\r\n" + GOOD).rows_applied == 2


def test_rows_that_a_trigger_takes_elsewhere_are_taken_once(warehouse: Warehouse) -> None:
    warehouse.write("CREATE TABLE shop.elsewhere (LIKE shop.people)")
    warehouse.write("""
        CREATE FUNCTION shop.divert() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO shop.elsewhere SELECT NEW.*; RETURN NULL; END'
    """)
    warehouse.write(
        "CREATE TRIGGER divert BEFORE INSERT ON shop.people FOR EACH ROW EXECUTE FUNCTION shop.divert()"
    )
    assert warehouse.load(b"id,name,mail\r\n" + GOOD).rows_applied == 2
    assert warehouse.rows("SELECT id FROM shop.elsewhere ORDER BY id") == [(101,), (102,)]


def test_what_no_statement_can_hold_stands_for_null_all_the_same(warehouse: Warehouse) -> None:
    assert warehouse.load(b"id,name,mail\r\n" + GOOD, null="\0").rows_applied == 2


def test_what_a_server_of_another_encoding_may_not_know_is_in_no_statement_of_a_block(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Writer, "write_block", None)
    assert warehouse.load(b"id,name,mail\r\n" + GOOD, null="∅").rows_applied == 2


def loaded(warehouse: Warehouse, file: bytes, null: str) -> tuple[object, ...]:
    """What is said of a load, and what is there afterwards."""
    said = warehouse.load(file, null=null, max_rejected=10)
    there = warehouse.rows("SELECT id, name, mail FROM shop.people ORDER BY id")
    warehouse.write("DELETE FROM shop.people")
    # How much was written before a file is refused is nobody's business.
    return (said.refusal, there) if said.refusal else (said, there)
