"""Values in words."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from worker.adapters.report.columns import Shown
from worker.adapters.report.wording import duration, worded
from worker.definitions.report import Format


def shown(format_: Format, decimals: int = 2) -> Shown:
    return Shown(name="n", title="N", format=format_, decimals=decimals, total=False)


@pytest.mark.parametrize(
    ("format_", "value", "words"),
    [
        ("integer", 1234567, "1,234,567"),
        ("integer", Decimal("1234567.0"), "1,234,567"),
        ("number", Decimal("1234.5"), "1,234.50"),
        ("number", -1234.5, "-1,234.50"),
        ("number", float("nan"), "nan"),
        ("percent", Decimal("0.1234"), "12.34 %"),
        ("date", date(2026, 3, 1), "2026-03-01"),
        ("date", datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01"),
        ("timestamp", datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))), "2026-03-01 10:00:00"),
        ("duration", timedelta(seconds=75), "1 min 15 s"),
        ("duration", 75, "1 min 15 s"),
        ("boolean", True, "yes"),
        ("boolean", False, "no"),
        ("text", "=1+1", "=1+1"),
        ("text", {"a": [1]}, '{"a":[1]}'),
        ("text", [1, 2], "[1,2]"),
        ("text", memoryview(b"\x00\xff"), "00ff"),
        ("text", time(12, 30), "12:30:00"),
        ("number", "no number", "no number"),
        ("text", None, ""),
        ("number", None, ""),
    ],
)
def test_a_cell_reads_well(format_: Format, value: Any, words: str) -> None:
    assert worded(value, shown(format_)) == words


def test_a_number_has_the_decimals_of_its_column() -> None:
    assert worded(Decimal("0.12345"), shown("percent", decimals=1)) == "12.3 %"
    assert worded(1234.5678, shown("number", decimals=0)) == "1,235"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0004, "0 ms"),
        (0.34, "340 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (86400 * 3 + 3600 * 5, "3 d 5 h"),
        (-90, "-1 min 30 s"),
    ],
)
def test_a_duration_is_told_in_the_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words
