"""Moments of the past, as an operator says them."""

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest

from ops.cli import moments
from ops.cli.moments import Past, written

NOW = datetime(2026, 11, 23, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2h", datetime(2026, 11, 22, 22, 30, tzinfo=UTC)),
        ("7d", datetime(2026, 11, 16, 0, 30, tzinfo=UTC)),
        ("today", datetime(2026, 11, 23, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 22, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T08:00:00+02:00", datetime(2026, 11, 20, 6, tzinfo=UTC)),
        ("2026-11-20 08:00:00Z", datetime(2026, 11, 20, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_length_ago_a_day_of_utc_or_a_time_with_its_zone(said: str, meant: datetime) -> None:
    assert moments._moment(said, NOW) == meant


@pytest.mark.parametrize(
    "said",
    [
        *("tomorrow", "2 h", "20270131", "2027-01-31T08:00:00", "2027-02-30", "5y", ""),
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_what_is_no_moment_is_refused_with_what_would_be_one(said: str) -> None:
    with pytest.raises(click.BadParameter, match="write 2h, 7d, today, yesterday, 2027-01-31 or"):
        Past().convert(said, None, None)


def test_a_moment_is_shown_in_utc() -> None:
    moment = datetime(2026, 11, 23, 1, 30, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    assert written(moment) == "2026-11-22T23:30:05Z"
    assert moments._moment(written(moment), NOW) == moment.replace(microsecond=0)
