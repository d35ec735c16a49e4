"""`report.render`: render a report of the operator's, and keep the file as an artifact."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from worker.contract import REPORT, Context, Payload, Result, kind, minutes
from worker.contract.ports import ReportFormat, ReportOrder, Reports

NAME = r"^[a-z][a-z0-9_]{0,62}$"
NO_NAME = {"misfit": "is no name of one: small letters, digits and `_`, up to 63, a letter first"}

CONTENT_TYPES = MappingProxyType(
    {
        "pdf": "application/pdf",
        "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "csv": "text/csv; charset=utf-8; header=present",
        "html": "text/html; charset=utf-8",
    }
)

ReportName = Annotated[
    str,
    Meta(pattern=NAME, extra=NO_NAME, description="A report that the operator defined.", examples=["sales"]),
]
Format = Annotated[
    ReportFormat,
    Meta(
        description="pdf and html show tables up to a length, and charts; xlsx and csv hold all rows.",
        examples=["pdf"],
    ),
]
Params = Annotated[
    dict[str, Any],
    Meta(
        max_length=100,
        description="The report's parameters by name; times are RFC 3339, UTC where they have no offset.",
        examples=[{"since": "2026-11-01T00:00:00Z"}],
    ),
]
TableName = Annotated[str, Meta(pattern=NAME, extra=NO_NAME)]
Table = Annotated[
    TableName | None,
    Meta(description="Which table a csv holds; unset: the report's first.", examples=["kinds"]),
]


class ReportRender(Payload, frozen=True, kw_only=True):
    """Which report to render, and as what."""

    EXAMPLE: ClassVar[Mapping[str, Any] | None] = {"report": "weather"}
    NEEDS: ClassVar[str] = (
        "A report of this name that the operator defined, and what it reads: the demo's definitions have it"
        " (`JOBYARD_DEFINITIONS=ops/tour/definitions ./ops/up`), and the example of `database.load` its rows."
    )

    report: ReportName
    format: Format = "pdf"
    params: Params = {}  # noqa: RUF012 - msgspec makes a new one for each payload
    table: Table = None

    def __post_init__(self) -> None:
        """Refuse what no schema can: msgspec reports a ValueError as an error of validation."""
        # Once more than in the schema: a search for `$` lets a final line feed pass, a full match does not.
        if not re.fullmatch(NAME, self.report):
            raise ValueError("report: is no name of a report")
        if self.table is not None and self.format != "csv":
            raise ValueError(f"table: a {self.format} holds all tables; only a csv holds a single one")

    def describe(self) -> str:
        """Report and format; the parameters may be private."""
        return f"{self.report} as {self.format}"


class ReportRendered(Result, frozen=True, kw_only=True):
    """The file, which is an artifact of the job."""

    report: Annotated[str, Meta(description="The report.", examples=["sales"])]
    format: Annotated[str, Meta(description="Its format.", examples=["pdf"])]
    artifact: Annotated[
        str, Meta(description="The artifact's name, `<report>.<format>`.", examples=["sales.pdf"])
    ]
    rows: Annotated[
        dict[str, int],
        Meta(description="Rows of each table, those left out included.", examples=[{"orders": 120}]),
    ]
    truncated: Annotated[
        tuple[str, ...],
        Meta(description="Tables of which a pdf or html shows only the first rows.", examples=[["orders"]]),
    ]
    bytes: Annotated[int, Meta(description="Size of the file.", examples=[48213])]
    sha256: Annotated[
        str,
        Meta(
            description="Digest of the file, hexadecimal.",
            examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
        ),
    ]


@kind("report.render", queue=REPORT, deadline=minutes(10))
def render(payload: ReportRender, ctx: Context, reports: Reports) -> ReportRendered:
    """Render a report that the operator defined, and keep it as the artifact `<report>.<format>`.

    All tables of a report show one state of its source. A report, table or parameter that does not exist
    fails the job at once, with a message that lists those there are; a source that is away is tried again.
    One that is for operators takes `report.oversee`.
    """
    return rendered(payload, ctx, reports, operator=False)


def rendered(payload: ReportRender, ctx: Context, reports: Reports, *, operator: bool) -> ReportRendered:
    """Render a report into an artifact of the job; `operator`: it may be one that is for operators."""

    def between(rows: int) -> None:
        ctx.check_cancelled()
        ctx.progress(rows, note="rows read")

    name = f"{payload.report}.{payload.format}"
    order = ReportOrder(
        report=payload.report,
        format=payload.format,
        params=payload.params,
        table=payload.table,
        operator=operator,
    )
    with ctx.save_artifact(name, CONTENT_TYPES[payload.format]) as file:
        done = reports.render(order, file, between)
    return ReportRendered(
        report=payload.report,
        format=payload.format,
        artifact=name,
        rows=done.rows,
        truncated=done.truncated,
        bytes=done.bytes,
        sha256=done.sha256,
    )
