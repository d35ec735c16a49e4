"""Values in words, for people: `1,234.50`, `12 %`, `3 min 05 s`."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from worker.adapters.report.cell import in_utc, plain
from worker.adapters.report.columns import Shown

MINUTE, HOUR, DAY = 60, 3600, 86400


def worded(value: Any, column: Shown) -> str:
    """A cell of a column; NULL is empty."""
    if value is None:
        return ""
    wording = _WORDINGS.get(column.format)
    return (wording(value, column.decimals) if wording else None) or _other(value)


def duration(seconds: float) -> str:
    """A length of time in the two units that matter."""
    if seconds < 0:
        return "-" + duration(-seconds)
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms" if seconds else "0 s"
    if round(seconds, 1) < MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE:02} s"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE:02} min"
    return f"{whole // DAY:,} d {whole % DAY // HOUR} h"


def moment(value: datetime) -> str:
    """A time, in UTC where it has a zone."""
    return f"{in_utc(value):%Y-%m-%d %H:%M:%S}"


def _number(value: Any, decimals: int) -> str | None:
    return f"{value:,.{decimals}f}" if is_number(value) else None


def _integer(value: Any, _: int) -> str | None:
    return f"{value:,.0f}" if is_number(value) else None


def _percent(value: Any, decimals: int) -> str | None:
    return f"{value * 100:,.{decimals}f} %" if is_number(value) else None


def _duration(value: Any, _: int) -> str | None:
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    return duration(float(value)) if is_number(value) else None


def _date(value: Any, _: int) -> str | None:
    return value.isoformat()[:10] if isinstance(value, date) else None


def is_number(value: Any) -> bool:
    """Whether it counts something."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


_WORDINGS: Mapping[str, Callable[[Any, int], str | None]] = MappingProxyType(
    {"integer": _integer, "number": _number, "percent": _percent, "duration": _duration, "date": _date}
)


def _other(value: Any) -> str:
    """As the value itself wants, where its column has no other say."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, timedelta):
        return duration(value.total_seconds())
    return str(plain(value))
