"""`report.render`: what it takes, and what it makes of it."""

from collections.abc import Callable
from typing import BinaryIO

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled, Fatal
from worker.contract.ports import RenderedReport, ReportOrder
from worker.kinds.report.oversee import ReportOversee, oversee
from worker.kinds.report.render import ReportRender, render


class FakeReports:
    def __init__(self) -> None:
        self.orders: list[ReportOrder] = []

    def render(self, order: ReportOrder, out: BinaryIO, between: Callable[[int], None]) -> RenderedReport:
        self.orders.append(order)
        if order.report == "nosuch":
            raise Fatal("there is no report 'nosuch'; there are: sales")
        out.write(b"the file")
        between(500)
        return RenderedReport(rows={"days": 500}, truncated=("days",), bytes=8, sha256="00")


def decoded(text: str) -> ReportRender:
    return msgspec.json.decode(text, type=ReportRender)


@pytest.mark.parametrize(
    ("format_", "content_type"),
    [
        ("pdf", "application/pdf"),
        ("html", "text/html; charset=utf-8"),
        ("csv", "text/csv; charset=utf-8; header=present"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_the_file_is_an_artifact_named_after_report_and_format(format_: str, content_type: str) -> None:
    ctx = FakeContext()
    result = render(decoded(f'{{"report": "sales", "format": "{format_}"}}'), ctx, FakeReports())
    saved = ctx.saved[f"sales.{format_}"]
    assert (saved.content, saved.content_type) == (b"the file", content_type)
    assert result.artifact == f"sales.{format_}"


def test_the_result_says_what_was_written() -> None:
    result = render(ReportRender(report="sales"), FakeContext(), FakeReports())
    assert (result.rows, result.truncated, result.bytes) == ({"days": 500}, ("days",), 8)


def test_parameters_and_table_reach_the_report() -> None:
    reports = FakeReports()
    payload = decoded('{"report": "sales", "format": "csv", "table": "days", "params": {"n": [1, 2]}}')
    render(payload, FakeContext(), reports)
    order = ReportOrder(report="sales", format="csv", params={"n": [1, 2]}, table="days")
    assert reports.orders == [order]


def test_only_an_operators_job_may_ask_for_what_is_for_operators() -> None:
    reports = FakeReports()
    render(ReportRender(report="sales"), FakeContext(), reports)
    oversee(ReportOversee(report="sales"), FakeContext(), reports)
    assert [order.operator for order in reports.orders] == [False, True]


def test_progress_is_told_in_rows() -> None:
    ctx = FakeContext()
    render(ReportRender(report="sales"), ctx, FakeReports())
    assert ctx.reports == [(500, None, "rows read")]


def test_a_cancelled_rendering_leaves_no_file() -> None:
    ctx = FakeContext(cancelled=True)
    with pytest.raises(Cancelled):
        render(ReportRender(report="sales"), ctx, FakeReports())
    assert ctx.saved == {}


def test_a_report_that_there_is_not_fails_the_job_and_leaves_no_file() -> None:
    ctx = FakeContext()
    with pytest.raises(Fatal, match="there are: sales"):
        render(ReportRender(report="nosuch"), ctx, FakeReports())
    assert ctx.saved == {}


@pytest.mark.parametrize("name", ["../etc/passwd", "Sales", "sales.pdf", "sales\\n", "", "a b", "x" * 64])
def test_what_is_no_name_of_a_report_is_refused(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(f'{{"report": "{name}"}}')


def test_only_a_csv_holds_a_single_table() -> None:
    with pytest.raises(msgspec.ValidationError, match="only a csv holds a single one"):
        decoded('{"report": "sales", "format": "pdf", "table": "days"}')


def test_its_description_tells_no_parameters() -> None:
    payload = ReportRender(report="sales", params={"customer": "Jane Doe"})
    assert payload.describe() == "sales as pdf"
