"""Charts: Vega-Lite, drawn as SVG by vl-convert, in the house's style."""

import functools
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from worker.adapters.report.cell import in_utc, plain
from worker.adapters.report.house import HOUSE
from worker.contract import Fatal
from worker.definitions import Chart

STYLE = HOUSE / "charts.json"

_LONGEST_REASON = 300


def draw(name: str, chart: Chart, rows: Sequence[dict[str, Any]]) -> str:
    """A chart as SVG; empty where there are no rows.

    Raises:
        Fatal: Vega-Lite cannot make it; the text is its own.
    """
    if not rows:
        return ""
    import vl_convert  # noqa: PLC0415 - it brings a JavaScript engine along: some 70 MiB

    spec = {**chart.spec, "data": {"name": chart.table}, "datasets": {chart.table: rows}}
    try:
        # No address is allowed: what a chart shows is its table, and nothing is asked of the network.
        svg: str = vl_convert.vegalite_to_svg(spec, config=_style(), allowed_base_urls=[])
    except ValueError as error:
        raise Fatal(f"chart {name!r}: {_reason(error)}") from error
    return svg


def drawable(value: Any) -> Any:
    """A value as JSON.

    Times lose their zone (they are UTC): Vega reads such a text as local time and shows it as local time,
    so that the hours are right wherever a worker stands. A day becomes its midnight for the same reason.
    """
    value = plain(value)
    if isinstance(value, datetime):
        return in_utc(value).isoformat()
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00"
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return value


@functools.cache
def _style() -> dict[str, Any]:
    style: dict[str, Any] = json.loads(STYLE.read_text("utf-8"))
    return style


def _reason(error: ValueError) -> str:
    """What went wrong, without the stack of a JavaScript engine."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith("at ") and not line.endswith("failed:")]
    return " ".join(said)[:_LONGEST_REASON] or "cannot be drawn"
