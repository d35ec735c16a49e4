"""XLSX: a sheet for each table, every row, written as the rows come."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from worker.adapters.report.page import parameters_of
from worker.adapters.report.sheet import Sheet
from worker.adapters.report.table import Table
from worker.definitions import Report
from worker.storage import Writer

_LONGEST_NAME = 31  # of a sheet, in Excel
_UNNAMEABLE = str.maketrans(dict.fromkeys("[]:*?/\\'", " "))
_TAKEN = "history"  # Excel's own


def write_xlsx(
    report: Report, values: Mapping[str, Any], tables: Iterable[Table], file: Writer, created: datetime
) -> None:
    """Write all tables, of which only the row at hand is in memory."""
    import xlsxwriter  # noqa: PLC0415 - most processes never write a workbook

    from worker.adapters.report.worksheet import QuickWorksheet  # noqa: PLC0415 - as above

    with tempfile.TemporaryFile() as whole:  # a ZIP is not written from front to back
        workbook = xlsxwriter.Workbook(
            whole,
            {
                "constant_memory": True,
                "strings_to_formulas": False,
                "strings_to_numbers": False,
                "strings_to_urls": False,
                "default_date_format": "yyyy-mm-dd",
            },
        )
        workbook.use_zip64()
        with workbook:
            _describe(workbook, report, values, created)
            names = _Names()
            for table in tables:
                sheet = workbook.add_worksheet(names.new(table.title), QuickWorksheet)
                Sheet(workbook, sheet, table).write()
        whole.seek(0)
        shutil.copyfileobj(whole, file)


def _describe(workbook: Any, report: Report, values: Mapping[str, Any], created: datetime) -> None:
    given = "; ".join(f"{parameter.name}: {parameter.value}" for parameter in parameters_of(values))
    workbook.set_properties({"title": report.title, "comments": given[:1000], "created": created})


class _Names:
    """Names of sheets, as Excel takes them, each once."""

    def __init__(self) -> None:
        self._used = {_TAKEN}

    def new(self, title: str) -> str:
        """A name like the title."""
        for name in _variants(" ".join(title.translate(_UNNAMEABLE).split()) or "table"):
            if name.lower() not in self._used:
                self._used.add(name.lower())
                return name
        raise AssertionError  # the variants do not end


def _variants(name: str) -> Iterator[str]:
    yield name[:_LONGEST_NAME]
    number = 2
    while True:
        suffix = f" ({number})"
        yield name[: _LONGEST_NAME - len(suffix)] + suffix
        number += 1
