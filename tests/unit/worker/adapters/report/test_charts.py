"""Charts."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from worker.adapters.report.charts import draw, drawable
from worker.contract import Fatal
from worker.definitions import Chart

BARS = {
    "mark": "bar",
    "encoding": {"x": {"field": "day", "type": "nominal"}, "y": {"field": "n", "type": "quantitative"}},
}
ROWS = [{"day": "mo", "n": 1}, {"day": "tu", "n": 2}]


def chart(spec: dict[str, Any]) -> Chart:
    return Chart(table="days", spec=spec)


def test_a_chart_draws_the_rows_of_its_table() -> None:
    svg = draw("bars", chart(BARS), ROWS)
    assert svg.startswith("<svg")
    assert ">mo<" in svg
    assert ">tu<" in svg


def test_all_charts_have_one_style_which_a_spec_may_change() -> None:
    assert "#3b6fb6" in draw("bars", chart(BARS), ROWS)
    assert "#ff0000" in draw("bars", chart(BARS | {"mark": {"type": "bar", "color": "#ff0000"}}), ROWS)


def test_a_chart_of_no_rows_is_none() -> None:
    assert draw("bars", chart(BARS), []) == ""


def test_a_chart_that_cannot_be_drawn_says_why_and_shows_no_stack() -> None:
    with pytest.raises(Fatal, match="chart 'bars'") as raised:
        draw("bars", chart(BARS | {"mark": "nonsense"}), ROWS)
    assert "https://" not in str(raised.value)


def test_nothing_is_fetched_for_a_chart() -> None:
    spec = {"layer": [BARS | {"data": {"url": "http://127.0.0.1:1/rows.json"}}]}
    with pytest.raises(Fatal, match="not allowed"):
        draw("bars", chart(spec), ROWS)


def test_markup_in_a_cell_is_text_in_a_chart() -> None:
    svg = draw("bars", chart(BARS), [{"day": "</text><script>alert(1)</script>", "n": 1}])
    assert "<script" not in svg


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2026-03-01T10:00:00"),
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00"),
        (date(2026, 3, 1), "2026-03-01T00:00:00"),
        (Decimal("1.5"), 1.5),
        (float("nan"), None),
        (timedelta(seconds=90), 90.0),
        (None, None),
        (True, True),
    ],
)
def test_a_value_becomes_what_vega_reads(value: Any, expected: Any) -> None:
    assert drawable(value) == expected
