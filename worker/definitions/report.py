"""Reports of `report.render`: `reports/NAME/report.toml`, with a layout beside it."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from worker.definitions.parameter import Parameter
from worker.definitions.source import LEDGER

Format = Literal["text", "integer", "number", "percent", "date", "timestamp", "duration", "boolean"]


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a column of a table is shown."""

    title: Annotated[str, Meta(description="Its heading; empty: its name in the query.")] = ""
    format: Annotated[
        Format | None,
        Meta(description="How values are shown: percent of 1, duration of seconds; unset: by their type."),
    ] = None
    decimals: Annotated[Annotated[int, Meta(ge=0, le=9)], Meta(description="Of numbers and percents.")] = 2
    total: Annotated[bool, Meta(description="Its sum stands below the table.")] = False


class ReportTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One query and how its rows are shown: a table of the PDF and HTML, a sheet of the XLSX, or the CSV."""

    sql: Annotated[str, Meta(min_length=1, description="A SELECT; `:name` stands for a parameter.")]
    title: Annotated[str, Meta(description="Its heading; empty: its name.")] = ""
    max_rows: Annotated[
        Annotated[int, Meta(ge=1, le=5_000)],
        Meta(description="Rows shown in PDF and HTML, and drawn in charts; CSV and XLSX hold all."),
    ] = 1000
    style: Annotated[
        Literal["rows", "figures", "charts"],
        Meta(
            description="How PDF and HTML show it; figures: its first row, large; charts: its charts alone."
        ),
    ] = "rows"
    columns: Annotated[dict[str, Column], Meta(description="By their names in the query.")] = {}


class Chart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture of a table's rows."""

    table: Annotated[str, Meta(description="The table whose rows are its data.")]
    spec: Annotated[dict[str, Any], Meta(description="Vega-Lite, without `data`: mark, encoding …")]
    title: Annotated[str, Meta(description="Its heading; empty: none.")] = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named report."""

    title: Annotated[str, Meta(min_length=1, description="Its heading.")]
    source: Annotated[str, Meta(description="The data source that it reads.")]
    tables: Annotated[
        dict[str, ReportTable], Meta(min_length=1, description="In their order; the first is the CSV's.")
    ]
    description: Annotated[str, Meta(description="What it tells, for those who submit jobs.")] = ""
    operator: Annotated[
        bool | None,
        Meta(
            description="Whether it is for operators alone, as report.oversee; unset: if it reads the ledger,"
            " where everybody's jobs are."
        ),
    ] = None
    parameters: Annotated[dict[str, Parameter], Meta(description="What a job gives by name.")] = {}
    charts: Annotated[dict[str, Chart], Meta(description="In their order.")] = {}

    @property
    def for_operators(self) -> bool:
        """Whether no client may have it rendered without the scope `operate`."""
        return self.source == LEDGER if self.operator is None else self.operator
