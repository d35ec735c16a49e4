"""What a layout is given: a report's tables, kept up to a length and put into words, and its charts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from worker.adapters.report.charts import draw, drawable
from worker.adapters.report.columns import Shown
from worker.adapters.report.table import Table
from worker.adapters.report.wording import moment, worded
from worker.definitions import Chart, Report

_NARROWEST, _WIDEST = 6, 36  # characters


class PageParameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter that has a value."""

    name: str
    value: str


class PageColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column, and how much of a line it asks for."""

    name: str
    title: str
    format: str
    numeric: bool
    weight: int  # characters


class PageTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table."""

    name: str
    title: str
    style: str
    columns: list[PageColumn]
    rows: list[list[str]]  # in words
    records: list[dict[str, Any]]  # the same rows as JSON, by the columns' names in the query
    totals: list[str] | None
    count: int  # those left out included
    note: str  # says so where rows were left out, else empty


class PageChart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart."""

    name: str
    table: str
    title: str
    svg: str  # empty where its table is


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a layout: `report` in each."""

    name: str
    title: str
    description: str
    parameters: list[PageParameter]
    created: str
    timestamp: int  # the same, in seconds since 1970
    tables: list[PageTable]
    charts: list[PageChart] = []

    @property
    def truncated(self) -> tuple[str, ...]:
        """The tables of which rows were left out."""
        return tuple(table.name for table in self.tables if table.note)


def page_of(
    name: str, report: Report, values: Mapping[str, Any], tables: Iterable[Table], created: datetime
) -> Page:
    """Read the tables to their end, and keep what a page shows; charts are not drawn yet."""
    return Page(
        name=name,
        title=report.title,
        description=report.description,
        parameters=list(parameters_of(values)),
        created=f"{created.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        timestamp=int(created.timestamp()),
        tables=[_kept(table) for table in tables],
    )


def with_charts(page: Page, charts: Mapping[str, Chart]) -> Page:
    """The page with its charts drawn.

    Raises:
        Fatal: one cannot be drawn.
    """
    rows = {table.name: table.records for table in page.tables}
    drawn = [
        PageChart(name=name, table=chart.table, title=chart.title, svg=draw(name, chart, rows[chart.table]))
        for name, chart in charts.items()
    ]
    return msgspec.structs.replace(page, charts=drawn)


def parameters_of(values: Mapping[str, Any]) -> Iterator[PageParameter]:
    """The parameters that have a value, in words."""
    for name, value in values.items():
        if value is not None:
            items = value if isinstance(value, list) else [value]
            yield PageParameter(name=name, value=", ".join(map(_given, items)))


def _given(value: Any) -> str:
    return f"{moment(value)} UTC" if isinstance(value, datetime) else str(value)


def _kept(table: Table) -> PageTable:
    most = table.definition.max_rows
    rows: list[Sequence[Any]] = []
    for batch in table.batches():
        rows += batch[: most - len(rows)]
    worded_rows = [[worded(value, column) for value, column in _pairs(row, table)] for row in rows]
    totals = _totals(table) if table.totals else None
    left_out = table.count > len(rows)
    return PageTable(
        name=table.name,
        title=table.title,
        style=table.definition.style,
        columns=[
            _column(column, [row[at] for row in (*worded_rows, *([totals] if totals else []))])
            for at, column in enumerate(table.columns)
        ],
        rows=worded_rows,
        records=[{c.name: drawable(value) for value, c in _pairs(row, table)} for row in rows],
        totals=totals,
        count=table.count,
        note=f"The first {len(rows):,} of {table.count:,} rows." if left_out else "",
    )


def _pairs(row: Sequence[Any], table: Table) -> Iterable[tuple[Any, Shown]]:
    return zip(row, table.columns, strict=True)


def _totals(table: Table) -> list[str]:
    return [worded(table.totals.of(at), column) for at, column in enumerate(table.columns)]


def _column(column: Shown, texts: Sequence[str]) -> PageColumn:
    words = max(map(len, column.title.split()), default=0)
    longest = max(words, len(column.title) // 2 + 1, *map(len, texts))  # a heading breaks into two lines
    return PageColumn(
        name=column.name,
        title=column.title,
        format=column.format,
        numeric=column.numeric,
        weight=min(max(longest, _NARROWEST), _WIDEST),
    )
