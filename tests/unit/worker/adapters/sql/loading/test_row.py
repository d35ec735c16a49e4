"""Rows as COPY takes them, and the chunks they go in."""

import pytest

from worker.adapters.sql.loading.row import CHUNK_ROWS, CHUNK_SIZE, Misfit, Row, chunks, encode

A, B = ("a",), ("b",)


def row(line: int, columns: tuple[str, ...] = A, text: str = "x") -> Row:
    return Row(line, text, columns, b"x\n")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (["a", "b"], b"a\tb\n"),
        ([None, ""], b"\\N\t\n"),
        (["\\N"], b"\\\\N\n"),
        (["\\."], b"\\\\.\n"),
        (["a\tb\nc\rd\\e"], b"a\\tb\\nc\\rd\\\\e\n"),
        (["ü"], b"\xc3\xbc\n"),
    ],
)
def test_values_are_escaped_as_copy_reads_them(values: list[str | None], line: bytes) -> None:
    assert encode(values) == line


@pytest.mark.parametrize(("value", "reason"), [("a\0b", "holds a NUL"), ("\udcff", "is not UTF-8")])
def test_what_no_text_of_postgresql_can_hold_is_a_misfit(value: str, reason: str) -> None:
    with pytest.raises(Misfit, match=reason):
        encode([value])


def test_a_chunk_has_so_many_rows_and_no_more() -> None:
    rows = [row(line) for line in range(2 * CHUNK_ROWS + 1)]
    assert [len(chunk) for chunk in chunks(rows)] == [CHUNK_ROWS, CHUNK_ROWS, 1]


def test_a_chunk_has_so_many_characters_and_hardly_more() -> None:
    rows = [row(line, text="x" * (CHUNK_SIZE // 2 + 1)) for line in range(5)]
    assert [len(chunk) for chunk in chunks(rows)] == [2, 2, 1]


def test_rows_of_a_chunk_have_the_same_columns_and_stay_in_order() -> None:
    rows = [row(1), row(2), row(3, B), row(4)]
    assert [[row.line for row in chunk] for chunk in chunks(rows)] == [[1, 2], [3], [4]]


def test_a_file_without_rows_has_no_chunk() -> None:
    assert list(chunks([])) == []
