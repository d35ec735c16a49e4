"""CSV: UTF-8, RFC 4180, one table, every row."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType, NoneType
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
    csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC).writerows(map(_cells, rows))
    file.write(lines.getvalue().encode("utf-8", "replace"))


def _cells(row: Sequence[Any]) -> list[Any]:
    """Numbers as they are, times as ISO 8601, durations as seconds, and no text that is a formula."""
    return [cell if (kind := type(cell)) in _AS_IT_IS else _WORDED.get(kind, _other)(cell) for cell in row]


def _other(value: Any) -> Any:
    value = plain(value)
    return harmless(value) if isinstance(value, str) else value


def harmless(text: str) -> str:
    """The text, behind an apostrophe where a spreadsheet would calculate it."""
    return "'" + text if text.startswith(_DANGEROUS) else text


# By the type itself, which psycopg2 gives: of millions of cells each question costs.
_AS_IT_IS = frozenset({int, float, Decimal, NoneType})
_WORDED: Mapping[type, Callable[[Any], Any]] = MappingProxyType(
    {
        str: harmless,
        bool: lambda truth: "true" if truth else "false",
        datetime: datetime.isoformat,
        date: date.isoformat,
        timedelta: timedelta.total_seconds,
    }
)
