"""CSV: UTF-8, RFC 4180, one table, every row."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from worker.adapters.report.cell import plain
from worker.adapters.report.table import Table
from worker.storage import Writer

# A spreadsheet takes a text that begins so for a formula (OWASP, "CSV Injection").
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(table: Table, file: Writer) -> None:
    """Write a heading line and the rows; what totals there are is the reader's to sum."""
    _write([[column.title for column in table.columns]], file)
    for rows in table.batches():
        _write(rows, file)


def _write(rows: Sequence[Sequence[Any]], file: Writer) -> None:
    lines = io.StringIO(newline="")
    # All texts are quoted: a spreadsheet that splits at semicolons must find none inside of one.
    csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC).writerows([[_cell(cell) for cell in row] for row in rows])
    file.write(lines.getvalue().encode("utf-8", "replace"))


def _cell(value: Any) -> Any:
    """Numbers as they are, times as ISO 8601, durations as seconds, and no text that is a formula."""
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return harmless(value) if isinstance(value, str) else value


def harmless(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would calculate it."""
    return "'" + text if text.startswith(_DANGEROUS) else text
