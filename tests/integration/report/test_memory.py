"""Rows pass through, and are not kept; `jobyard bench report` measures a million of them."""

import pytest

from ops.bench.measures import report as bench
from worker.contract.ports import ReportFormat

ROWS = 50_000
FEW = 30.0  # MB


@pytest.fixture(scope="module")
def sales_url(database_url: str) -> str:
    bench.fill(database_url, ROWS)
    return database_url


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_many_rows_need_little_memory(sales_url: str, format_: ReportFormat) -> None:
    measured = bench.rendered(sales_url, format_)
    assert measured.rows == ROWS
    assert measured.peak - measured.before < FEW
