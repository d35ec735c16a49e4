"""Trying a report out before a job needs it: its queries, its charts and its layouts, with made-up rows."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, cast
from uuid import UUID

from sqlalchemy import Connection

from worker.adapters.report.page import Page, page_of, with_charts
from worker.adapters.report.pdf import write_pdf
from worker.adapters.report.reports import sendable
from worker.adapters.report.table import Table
from worker.adapters.report.web import write_html
from worker.adapters.sql import Sources
from worker.adapters.sql.failures import translated
from worker.adapters.sql.rows import Rows, SqlColumn, describe
from worker.contract import Fatal, JobError
from worker.definitions import Chart, Definitions, Fault, Parameter, Report, ReportTable
from worker.definitions.lines import Lines
from worker.definitions.report import Format
from worker.storage import Writer

_WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_ROWS = 3
_LAYOUT_LINE = re.compile(r"^(\S+):(\d+): ")

_SAMPLES: Mapping[str, Any] = MappingProxyType(
    {
        "text": "sample",
        "integer": 1234,
        "number": Decimal("1234.5"),
        "percent": Decimal("0.25"),
        "boolean": True,
        "date": date(2026, 1, 2),
        "timestamp": _WHEN,
        "duration": 75.5,
        "uuid": UUID(int=7),
        "json": {},
    }
)


class Rehearsal:
    """Tries one report out.

    Args:
        definitions: the reports.
        name: which one; it must be there.
        sources: where its queries are planned, none of them is run.
    """

    def __init__(self, definitions: Definitions, name: str, sources: Sources) -> None:
        self.unplanned: str | None = None  # why no query could be planned, where none could
        self._name = name
        self._report: Report = definitions.reports[name]
        self._folder: Path = definitions.report_folders[name]
        self._lines = Lines((self._folder / "report.toml").read_text("utf-8"))
        self._sources = sources

    def faults(self) -> Iterator[Fault]:
        """What is wrong, with file and line."""
        tables: list[Table] = []
        for name, definition in self._report.tables.items():
            try:
                tables.append(_rehearsed(name, definition, self._described(name, definition)))
            except Fatal as error:
                yield self._fault(("tables", name, "sql"), error)
        if len(tables) < len(self._report.tables):
            return  # charts and layouts would only repeat it
        page = page_of(self._name, self._report, self._values(), tables, _WHEN)
        yield from self._drawn(page)

    def _drawn(self, page: Page) -> Iterator[Fault]:
        charts: dict[str, Chart] = {}
        for name, chart in self._report.charts.items():
            try:
                with_charts(page, {name: chart})
                charts[name] = chart
            except Fatal as error:
                yield self._fault(("charts", name, "spec"), error)
        for write in (write_pdf, write_html):
            try:
                write(with_charts(page, charts), self._folder, _nowhere(), lambda: None)
            except Fatal as error:
                yield self._layout_fault(str(error))

    def _described(self, name: str, definition: ReportTable) -> tuple[SqlColumn, ...]:
        """The columns of a query; as the definition has them where the source cannot be asked."""
        with ExitStack() as opened:
            connection = self._connected(opened)
            if connection is not None:
                values = sendable(self._report, self._values())
                try:
                    with translated(self._report.source):
                        return describe(connection, definition.sql, values)
                except JobError as error:
                    raise Fatal(f"table {name!r}: {error}") from error
        return tuple(
            SqlColumn(column, _type(shown.format or "text", total=shown.total))
            for column, shown in definition.columns.items()
        )

    def _connected(self, opened: ExitStack) -> Connection | None:
        """The source, where it can be reached."""
        if self.unplanned is not None:
            return None
        try:
            return opened.enter_context(self._sources.reading(self._report.source))
        except JobError as error:
            self.unplanned = str(error)
            return None

    def _values(self) -> dict[str, Any]:
        return {name: _value(parameter) for name, parameter in self._report.parameters.items()}

    def _fault(self, path: tuple[str, ...], error: Fatal) -> Fault:
        return Fault(self._folder / "report.toml", self._lines.of(path), str(error))

    def _layout_fault(self, said: str) -> Fault:
        at = _LAYOUT_LINE.match(said)
        if at is None:
            return Fault(self._folder / "report.toml", 1, said)
        return Fault(self._folder / at[1], int(at[2]), said[at.end() :])


def _rehearsed(name: str, definition: ReportTable, columns: tuple[SqlColumn, ...]) -> Table:
    rows = [[_SAMPLES[column.type] for column in columns]] * _ROWS
    return Table(name, definition, lambda: Rows(columns, iter([rows])), lambda: None)


def _type(shown: Format, *, total: bool) -> Format:
    """A type whose values can be shown so, where only the definition is known."""
    if shown == "percent" or (total and shown == "text"):
        return "number"
    return shown


def _value(parameter: Parameter) -> Any:
    """A value that fits: its default, or one of its choices, or the least, or any."""
    if parameter.default is not None:
        return parameter.value(parameter.default)
    given = next(iter(parameter.choices), parameter.min)
    value = _SAMPLES[parameter.type] if given is None else parameter.converted(given)
    return [value] if parameter.list else value


def _nowhere() -> Writer:
    return Writer(cast("BinaryIO", io.BytesIO()))
