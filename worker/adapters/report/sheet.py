"""One sheet of a workbook: a table with its heading, its rows as real numbers and dates, and its totals."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any

from worker.adapters.report.cell import in_utc, plain
from worker.adapters.report.columns import Shown
from worker.adapters.report.table import Table
from worker.adapters.report.wording import is_number, worded
from worker.contract import Fatal

# Excel's limits (support.microsoft.com, "Excel specifications and limits").
_ROWS = 1_048_576
_LONGEST_TEXT = 32_767
_FIRST_YEAR = 1900
_EXACT = 10**15  # beyond it a number of Excel's loses digits, so that it is written as a text

_HEADING = {"bold": True, "bottom": 1, "bg_color": "#EEF2F6", "valign": "top"}
_NARROWEST, _WIDEST = 8, 60  # characters
_PADDING = 3  # for the arrow of the filter


class Sheet:
    """Writes a table into an empty sheet of a workbook."""

    def __init__(self, workbook: Any, sheet: Any, table: Table) -> None:
        self._table = table
        self._sheet = sheet
        self._headings = [
            workbook.add_format(_HEADING | ({"align": "right"} if _stands_right(column) else {}))
            for column in table.columns
        ]
        self._formats = [workbook.add_format({"num_format": pattern(column)}) for column in table.columns]
        self._totals = [
            workbook.add_format({"num_format": pattern(column), "bold": True, "top": 1})
            for column in table.columns
        ]
        self._durations = [at for at, column in enumerate(table.columns) if column.format == "duration"]
        # By the type itself, which psycopg2 gives: of millions of cells each question costs.
        self._writers: Mapping[type, Callable[[int, int, Any, Any], object]] = {
            str: self._text,
            NoneType: self._sheet.write_blank,
            bool: self._sheet.write_boolean,
            int: self._number,
            float: self._number,
            Decimal: self._number,
            datetime: self._moment,
            date: self._day,
            timedelta: self._sheet.write_datetime,
        }
        self._next = 0

    def write(self) -> None:
        """Write heading, rows and totals.

        Raises:
            Fatal: there are more rows than a sheet holds.
        """
        self._sheet.freeze_panes(1, 0)
        self._sheet.set_landscape()
        self._sheet.set_paper(9)  # A4
        self._sheet.fit_to_pages(1, 0)
        self._sheet.repeat_rows(0)
        self._row([column.title for column in self._table.columns], self._headings)
        for rows in self._table.batches():
            if self._next == 1:
                self._set_widths(rows)
            for row in rows:
                self._row(row, self._formats)
        if self._next == 1:
            self._set_widths([])
        self._sheet.autofilter(0, 0, max(self._next - 1, 1), max(len(self._formats) - 1, 0))
        if self._table.totals:
            self._row([self._total(at) for at in range(len(self._totals))], self._totals)

    def _row(self, values: Sequence[Any], formats: Sequence[Any]) -> None:
        if self._next == _ROWS:
            raise Fatal(
                f"table {self._table.name!r} has more rows than the {_ROWS:,} of a sheet: render it as csv,"
                " or narrow it by its parameters"
            )
        for at in self._durations:
            values = [*values[:at], _timed(values[at]), *values[at + 1 :]]
        row, writers = self._next, self._writers
        for at, value in enumerate(values):
            if (write := writers.get(type(value))) is not None:
                write(row, at, value, formats[at])
            else:
                self._text(row, at, str(plain(value)), formats[at])
        self._next += 1

    def _text(self, row: int, at: int, value: str, form: Any) -> None:
        self._sheet.write_string(row, at, _fitting(value), form)

    def _number(self, row: int, at: int, value: float | Decimal, form: Any) -> None:
        if _holds(value):
            self._sheet.write_number(row, at, value, form)
        else:
            self._sheet.write_string(row, at, str(value), form)

    def _moment(self, row: int, at: int, value: datetime, form: Any) -> None:
        self._day(row, at, in_utc(value), form)

    def _day(self, row: int, at: int, value: date, form: Any) -> None:
        if value.year >= _FIRST_YEAR:
            self._sheet.write_datetime(row, at, value, form)
        else:
            self._sheet.write_string(row, at, value.isoformat(), form)

    def _total(self, at: int) -> Any:
        total = self._table.totals.of(at)
        return "Total" if at == 0 and total is None else total

    def _set_widths(self, rows: Sequence[Sequence[Any]]) -> None:
        """As wide as the first rows need: xlsxwriter fits columns only where it keeps all rows."""
        for at, column in enumerate(self._table.columns):
            texts = [column.title, *(worded(row[at], column) for row in rows)]
            width = max(len(line) for text in texts for line in text.splitlines() or [""])
            self._sheet.set_column(at, at, min(max(width + _PADDING, _NARROWEST), _WIDEST))


def _timed(value: Any) -> Any:
    """Seconds of a duration as a duration."""
    return timedelta(seconds=float(value)) if is_number(value) else value


def pattern(column: Shown) -> str:
    """Excel's number format of a column."""
    digits = "." + "0" * column.decimals if column.decimals else ""
    return {
        "integer": "#,##0",
        "number": f"#,##0{digits}",
        "percent": f"0{digits}%",
        "date": "yyyy-mm-dd",
        "timestamp": "yyyy-mm-dd hh:mm:ss",
        "duration": "[h]:mm:ss.000",
    }.get(column.format, "General")


def _stands_right(column: Shown) -> bool:
    """Where a spreadsheet sets the values of a column by itself."""
    return column.numeric or column.format in {"date", "timestamp"}


def _holds(value: float | Decimal) -> bool:
    """Whether Excel can hold a number: it knows neither NaN nor infinity."""
    return (isinstance(value, int) or math.isfinite(value)) and -_EXACT < value < _EXACT


def _fitting(text: str) -> str:
    """As much of a text as a cell holds."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
