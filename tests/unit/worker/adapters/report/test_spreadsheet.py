"""XLSX, as openpyxl reads it back."""

import io
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from tests.unit.worker.adapters.report.tables import File, column, table
from worker.adapters.report import sheet as sheets
from worker.adapters.report.spreadsheet import write_xlsx
from worker.adapters.report.table import Table
from worker.adapters.report.worksheet import QuickWorksheet
from worker.contract import Fatal
from worker.definitions import Report, ReportTable
from worker.definitions.report import Format

WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPORT = Report(title="Sales", source="shop", tables={"days": ReportTable(sql="SELECT")})


def written(*tables: Table, values: dict[str, Any] | None = None) -> bytes:
    file = File()
    write_xlsx(REPORT, values or {}, iter(tables), file.measured, WHEN)
    return file.content


def workbook(*tables: Table) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(written(*tables)))


def only_sheet(format_: Format, values: list[Any], **definition: Any) -> Worksheet:
    active = workbook(table({"n": format_}, [[value] for value in values], **definition)).active
    assert isinstance(active, Worksheet)
    return active


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "{=1}", '=HYPERLINK("http://127.0.0.1")', "=cmd|' /C calc'!A0"]


@pytest.mark.parametrize(
    "text", [*FORMULAS, "http://127.0.0.1/", "mailto:a@b", "00123", "1e5", "internal:A1"]
)
def test_a_text_stays_that_text_and_is_no_formula_link_or_number(text: str) -> None:
    cell = only_sheet("text", [text])["A2"]
    assert (cell.data_type, cell.value, cell.hyperlink) == ("s", text, None)


def test_a_title_is_no_formula_either() -> None:
    shown = workbook(table({"n": "text"}, [], title="=1+1", columns={"n": column(title="=1+1")}))
    assert shown["=1+1"]["A1"].data_type == "s"


@pytest.mark.parametrize(
    ("format_", "value", "read", "number_format"),
    [
        ("integer", 1234, 1234, "#,##0"),
        ("number", Decimal("1234.5"), 1234.5, "#,##0.00"),
        ("percent", Decimal("0.25"), 0.25, "0.00%"),
        ("date", date(2026, 3, 1), datetime(2026, 3, 1), "yyyy-mm-dd"),  # noqa: DTZ001 - Excel knows no zones
        ("timestamp", WHEN, datetime(2026, 3, 1, 12), "yyyy-mm-dd hh:mm:ss"),  # noqa: DTZ001 - as above
        ("boolean", True, True, "General"),
        ("duration", timedelta(minutes=90), timedelta(minutes=90), "[h]:mm:ss.000"),
        ("duration", 5400, timedelta(minutes=90), "[h]:mm:ss.000"),
        ("text", None, None, "General"),
    ],
)
def test_numbers_and_dates_are_real_ones(format_: Format, value: Any, read: Any, number_format: str) -> None:
    cell = only_sheet(format_, [value])["A2"]
    assert (cell.value, cell.number_format) == (read, number_format)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345678901234567890, "12345678901234567890"),
        (Decimal("1234567890123456.5"), "1234567890123456.5"),
        (float("nan"), "nan"),
        (Decimal("NaN"), "NaN"),
        (float("-inf"), "-inf"),
        (date(1815, 6, 18), "1815-06-18"),
    ],
)
def test_what_excel_cannot_hold_is_a_text_that_loses_nothing(value: Any, text: str) -> None:
    cell = only_sheet("number", [value])["A2"]
    assert (cell.data_type, cell.value) == ("s", text)


def test_a_text_longer_than_a_cell_is_cut_and_shows_it() -> None:
    value = str(only_sheet("text", ["x" * 40_000])["A2"].value)
    assert (len(value), value[-1]) == (32_767, "…")


def test_a_sheet_is_frozen_below_its_heading_and_filters_its_rows_without_the_totals() -> None:
    shown = only_sheet("integer", [1, 2, 3], columns={"n": column(title="Number", total=True)})
    assert (shown["A1"].value, shown["A1"].font.b, shown.freeze_panes) == ("Number", True, "A2")
    assert shown.auto_filter.ref == "A1:A4"
    assert (shown["A5"].value, shown["A5"].font.b) == (6, True)


def test_totals_are_called_so_where_there_is_room() -> None:
    summed = table({"day": "text", "n": "integer"}, [["mo", 1], ["tu", 2]], columns={"n": column(total=True)})
    shown = workbook(summed)["days"]
    assert [cell.value for cell in shown[4]] == ["Total", 3]


def test_an_empty_table_is_a_heading() -> None:
    shown = only_sheet("integer", [])
    assert [[cell.value for cell in row] for row in shown.iter_rows(max_row=1)] == [["n"]]


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    wide = table({"short": "text", "long": "text"}, [["a", "b" * 30]])
    widths = workbook(wide)["days"].column_dimensions
    assert widths["A"].width < 12
    assert 30 < widths["B"].width < 40


def test_each_table_has_a_sheet_of_its_own_name() -> None:
    titles = ["Sales [2026]: a/b?", "sales  2026  a b", "History", "x" * 40, "x" * 40, "'quoted'", ""]
    tables = [table({"n": "text"}, [], name=f"t{at}", title=title) for at, title in enumerate(titles)]
    assert workbook(*tables).sheetnames == [
        "Sales 2026 a b",
        "sales 2026 a b (2)",
        "History (2)",
        "x" * 31,
        "x" * 27 + " (2)",
        "quoted",
        "t6",
    ]


def test_more_rows_than_a_sheet_holds_are_refused_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "_ROWS", 3)
    with pytest.raises(Fatal, match="table 'days' has more rows than the 3 of a sheet: render it as csv"):
        written(table({"n": "integer"}, [[1], [2], [3]]))


def test_the_same_rows_at_the_same_time_are_the_same_bytes() -> None:
    first, second = (written(table({"n": "text"}, [["a"]]), values={"since": WHEN}) for _ in range(2))
    assert first == second


def test_the_file_says_what_it_is_and_of_which_parameters() -> None:
    content = written(table({"n": "text"}, []), values={"since": WHEN, "until": None, "kind": "=1+1"})
    properties = openpyxl.load_workbook(io.BytesIO(content)).properties
    assert properties.title == "Sales"
    assert properties.description == "since: 2026-03-01 12:00:00 UTC; kind: =1+1"
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_numbers_are_written_as_xlsxwriter_writes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [0, -7, 10**14, 0.1, 1e-9, Decimal("12.50"), 1e300, date(2026, 3, 1), WHEN, timedelta(hours=30)]

    def cells() -> bytes:
        parts = zipfile.ZipFile(io.BytesIO(written(table({"n": "number"}, [[value] for value in numbers]))))
        return parts.read("xl/worksheets/sheet1.xml")

    quick = cells()
    monkeypatch.delattr(QuickWorksheet, "_write_cell")
    assert quick == cells()
