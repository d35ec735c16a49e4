"""Tables made of rows in memory, and files to write them into."""

import io
from collections.abc import Sequence
from typing import Any, BinaryIO, cast

from worker.adapters.report.table import Table
from worker.adapters.sql.rows import Rows, SqlColumn
from worker.definitions import Column, ReportTable
from worker.definitions.report import Format
from worker.storage import Writer


def table(
    types: dict[str, Format], rows: Sequence[Sequence[Any]], name: str = "days", **definition: Any
) -> Table:
    """A table whose query gives these rows, in batches of two."""
    described = tuple(SqlColumn(*column) for column in types.items())
    batches = [rows[at : at + 2] for at in range(0, len(rows), 2)]
    given = ReportTable(sql="SELECT", **definition)
    return Table(name, given, lambda: Rows(described, iter(batches)), lambda: None)


def column(**fields: Any) -> Column:
    return Column(**fields)


class File:
    """A file in memory."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self.measured = Writer(cast("BinaryIO", self._bytes))

    @property
    def content(self) -> bytes:
        return self._bytes.getvalue()
