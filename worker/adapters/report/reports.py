"""The port `Reports` over the operator's definitions."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO

import msgspec
from sqlalchemy import Connection

from worker.adapters.report.page import Page, page_of, with_charts
from worker.adapters.report.pdf import write_pdf
from worker.adapters.report.spreadsheet import write_xlsx
from worker.adapters.report.table import Table
from worker.adapters.report.text import write_csv
from worker.adapters.report.web import write_html
from worker.adapters.sql import Sources
from worker.adapters.sql.failures import translated
from worker.adapters.sql.rows import Rows, stream
from worker.contract import Fatal, JobError
from worker.contract.ports import RenderedReport, ReportOrder
from worker.definitions import Definitions, ParameterError, Report, ReportTable, bind
from worker.storage import Writer

Between = Callable[[int], None]


def _now() -> datetime:
    return datetime.now(UTC)


class DefinedReports:
    """Renders the reports of the definitions from their sources.

    Args:
        definitions: the reports, and the folders of their layouts.
        sources: what they read.
        clock: the time that stands in a file; with another one that stands still, the same rows give the
            same bytes.
    """

    def __init__(
        self, definitions: Definitions, sources: Sources, clock: Callable[[], datetime] = _now
    ) -> None:
        self._definitions = definitions
        self._sources = sources
        self._clock = clock

    def render(self, order: ReportOrder, out: BinaryIO, between: Between) -> RenderedReport:
        """Read the report's source and write the file; see `Reports`."""
        report = self._find(order.report)
        if report.for_operators and not order.operator:
            raise Fatal(
                f"the report {order.report!r} is for operators: submit it as report.oversee, with a key "
                "that has the scope operate"
            )
        wanted = _wanted(report, order)
        values = _bound(report, order.params)
        file = Writer(out)
        page: Page | None = None
        with self._sources.reading(report.source) as connection:
            tables = _Tables(report, connection, values, between)
            if order.format == "csv":
                write_csv(tables.open(wanted), file)
            elif order.format == "xlsx":
                write_xlsx(report, values, map(tables.open, report.tables), file, self._clock())
            else:
                page = page_of(order.report, report, values, map(tables.open, report.tables), self._clock())
        if page is not None:  # set while no connection is kept waiting
            write = write_pdf if order.format == "pdf" else write_html
            page = with_charts(page, report.charts)
            write(page, self._definitions.report_folders[order.report], file, partial(between, tables.read))
        return RenderedReport(
            rows={table.name: table.count for table in tables.opened},
            truncated=() if page is None else page.truncated,
            bytes=file.size,
            sha256=file.sha256,
        )

    def _find(self, name: str) -> Report:
        report = self._definitions.reports.get(name)
        if report is None:
            known = ", ".join(sorted(self._definitions.reports)) or "none"
            raise Fatal(f"there is no report {name!r}; there are: {known}")
        return report


class _Tables:
    """The tables of a report, opened one after the other in one transaction."""

    def __init__(
        self, report: Report, connection: Connection, values: Mapping[str, Any], between: Between
    ) -> None:
        self.opened: list[Table] = []
        self._report = report
        self._connection = connection
        self._values = sendable(report, values)
        self._between = between

    @property
    def read(self) -> int:
        """Rows of all tables so far."""
        return sum(table.count for table in self.opened)

    def open(self, name: str) -> Table:
        """Run a table's query."""
        definition = self._report.tables[name]
        table = Table(name, definition, partial(self._rows, name, definition), self._note)
        self.opened.append(table)
        return table

    def _rows(self, name: str, definition: ReportTable) -> Rows:
        try:
            with translated(self._report.source):
                return stream(self._connection, definition.sql, self._values)
        except JobError as error:
            raise type(error)(f"table {name!r}: {error}") from error

    def _note(self) -> None:
        self._between(self.read)


def _wanted(report: Report, order: ReportOrder) -> str:
    """The table of a CSV."""
    if order.table is not None and order.table not in report.tables:
        raise Fatal(
            f"there is no table {order.table!r} in the report {order.report!r}; there are:"
            f" {', '.join(report.tables)}"
        )
    return order.table or next(iter(report.tables))


def _bound(report: Report, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return bind(report.parameters, given)
    except ParameterError as error:
        raise Fatal(str(error)) from error


def sendable(report: Report, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the driver takes them: JSON goes as text, for `CAST(:name AS jsonb)`."""
    return {
        name: msgspec.json.encode(value).decode()
        if report.parameters[name].type == "json" and value is not None
        else value
        for name, value in values.items()
    }
