"""CSV."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.worker.adapters.report.tables import File, column, table
from worker.adapters.report.text import write_csv


def written(values: list[Any], **definition: Any) -> str:
    file = File()
    write_csv(table({"n": "text"}, [[value] for value in values], **definition), file.measured)
    return file.content.decode()


def cells(text: str) -> list[str]:
    return [row[0] for row in csv.reader(io.StringIO(text, newline=""), strict=True)]


def test_lines_end_and_texts_are_quoted_as_rfc_4180_says() -> None:
    assert written(['say "hi", you', "two\r\nlines", ""]) == (
        '"n"\r\n"say ""hi"", you"\r\n"two\r\nlines"\r\n""\r\n'
    )


def test_the_heading_has_the_titles() -> None:
    assert cells(written([], columns={"n": column(title="Größe")})) == ["Größe"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"]
)
def test_a_text_that_a_spreadsheet_would_calculate_stands_behind_an_apostrophe(text: str) -> None:
    assert cells(written([text])) == ["n", "'" + text]


def test_a_heading_that_a_spreadsheet_would_calculate_does_too() -> None:
    assert cells(written([], columns={"n": column(title="=1+1")})) == ["'=1+1"]


def test_a_cell_does_not_begin_anew_where_a_spreadsheet_splits_at_semicolons() -> None:
    assert '"harmless;=1+1"' in written(["harmless;=1+1"])


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (-5, "-5"),
        (Decimal("-1234567890123456789.123"), "-1234567890123456789.123"),
        (-0.25, "-0.25"),
        (True, '"true"'),
        (None, '""'),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), '"2026-03-01T12:00:00+00:00"'),
        (date(2026, 3, 1), '"2026-03-01"'),
        (timedelta(minutes=1.5), "90.0"),
        ({"a": 1}, '"{""a"":1}"'),
    ],
)
def test_a_value_can_be_read_back(value: Any, field: str) -> None:
    assert written([value]).splitlines()[1] == field


def test_every_row_is_in_it_whatever_a_page_would_show() -> None:
    assert cells(written(list(range(7)), max_rows=2)) == ["n", *map(str, range(7))]
