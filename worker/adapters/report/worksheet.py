"""xlsxwriter's worksheet, with a shorter way for numbers, which are most of a large table.

xlsxwriter escapes each attribute of each cell, though a place and the number of a format hold nothing to
escape. What is written is the same, byte for byte: a test compares them.
"""

from typing import Any

from xlsxwriter.utility import xl_rowcol_to_cell_fast
from xlsxwriter.worksheet import Worksheet

_NUMBERS = ("Number", "Datetime")


class QuickWorksheet(Worksheet):  # type: ignore[misc]
    """Writes the same cells."""

    def _write_cell(self, row: int, col: int, cell: Any) -> None:
        if cell.format and cell.__class__.__name__ in _NUMBERS:
            place = xl_rowcol_to_cell_fast(row, col)
            form = cell.format._get_xf_index()  # noqa: SLF001 - as the class that this one is for does
            self.fh.write(f'<c r="{place}" s="{form}"><v>{cell.number:.16G}</v></c>')
        else:
            super()._write_cell(row, col, cell)
