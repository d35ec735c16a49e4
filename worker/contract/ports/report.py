"""Rendering a report that the operator defined."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Literal, Protocol

import msgspec

ReportFormat = Literal["pdf", "xlsx", "csv", "html"]


class ReportOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Which report, and as what."""

    report: str
    format: ReportFormat
    params: Mapping[str, Any] = {}
    operator: bool = False  # whether it may be one that is for operators
    table: str | None = None  # of a CSV, which holds a single one; None: the report's first


class RenderedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was written."""

    rows: dict[str, int]  # of each table that was read, those left out included
    truncated: tuple[str, ...]  # tables of which the file shows only the first rows
    bytes: int
    sha256: str  # hexadecimal


class Reports(Protocol):
    """The operator's reports: what there are, and what they read and show, is not the client's to say."""

    def render(self, order: ReportOrder, out: BinaryIO, between: Callable[[int], None]) -> RenderedReport:
        """Read the report's source and write the file.

        Args:
            order: what is wanted.
            out: where the file goes; only its `write` is used.
            between: called after every few hundred rows with how many were read, and about once a second
                while a page is set; what it raises ends the rendering and is passed on.

        Raises:
            Fatal: there is no such report, table or parameter, it is for operators and the order is not, a
                value does not fit, or its definition or layout is at fault; the text says what there is, or
                file and line.
            Retryable: the source is away or out of time.
        """
