"""Which fire times follow from a definition: intervals, single times, start and end."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.enqueue import Refused
from worker.scheduling import Definition
from worker.scheduling.rule import Rule

NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def rule(**said: Any) -> Rule:
    return Rule(msgspec.convert({"kind": "test.greet"} | said, Definition))


def times(found: Rule, after: datetime, count: int = 3) -> list[str]:
    return [time.isoformat() for time in islice(found.after(after), count)]


def test_an_interval_is_counted_from_1970_so_that_all_beats_count_alike() -> None:
    assert times(rule(every=900), NINE + 2 * MINUTE) == [
        "2026-01-01T09:15:00+00:00",
        "2026-01-01T09:30:00+00:00",
        "2026-01-01T09:45:00+00:00",
    ]


def test_an_interval_with_a_start_is_counted_from_there_and_fires_then() -> None:
    found = rule(every=3600, starts_at="2026-01-01T09:10:00Z")
    first = ["2026-01-01T09:10:00+00:00", "2026-01-01T10:10:00+00:00"]

    assert times(found, NINE, 2) == first
    assert times(found, NINE - timedelta(days=9), 2) == first
    assert times(found, NINE + 10 * MINUTE, 1) == first[1:]


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_an_interval_follows_the_time_that_passes_whatever_clocks_show(day: str) -> None:
    found = rule(every=86400, starts_at=f"{day}T12:00:00+01:00", timezone="Europe/Berlin")
    first, second, third = islice(found.after(datetime(2026, 1, 1, tzinfo=UTC)), 3)

    assert second - first == third - second == timedelta(days=1)


def test_a_single_time_fires_once() -> None:
    found = rule(at="2026-01-01T10:00:00+01:00")

    assert times(found, NINE - MINUTE) == ["2026-01-01T09:00:00+00:00"]
    assert times(found, NINE) == []
    assert found.newest(NINE - MINUTE, NINE + MINUTE, 5) == [NINE]


def test_start_and_end_are_fire_times_themselves() -> None:
    found = rule(cron="0 * * * *", starts_at=NINE.isoformat(), ends_at="2026-01-01T11:00:00Z")

    assert times(found, NINE - timedelta(days=3), 9) == [
        "2026-01-01T09:00:00+00:00",
        "2026-01-01T10:00:00+00:00",
        "2026-01-01T11:00:00+00:00",
    ]


RULES = st.sampled_from(
    [
        {"cron": "*/7 * * * *"},
        {"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        {"cron": "0 0 12 * * *", "ends_at": "2026-03-30T00:00:00Z"},
        {"every": 700},
        {"every": 5000, "starts_at": "2026-03-29T00:00:00Z"},
        {"at": "2026-03-29T01:00:00Z"},
    ]
)
MOMENTS = st.datetimes(datetime(2026, 3, 27), datetime(2026, 3, 31)).map(  # noqa: DTZ001 - added here
    lambda naive: naive.replace(tzinfo=UTC)
)


@given(RULES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), st.integers(1, 20))
def test_the_newest_are_the_last_of_all(
    said: dict[str, Any], after: datetime, span: timedelta, count: int
) -> None:
    found, until = rule(**said), after + span

    every = list(takewhile(lambda time: time <= until, found.after(after)))

    assert found.newest(after, until, count) == every[-count:]


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "at": NINE.isoformat()}, "at"),
        ({"cron": "* * * *"}, "cron"),
        ({"cron": "* * * * *", "timezone": "Mars"}, "timezone"),
        ({"at": "9999-12-31T23:59:59-12:00"}, "at"),
        ({"at": "0001-01-01T00:00:00+12:00"}, "at"),
        ({"every": 60, "starts_at": "9000-01-01T00:00:00Z"}, "starts_at"),
        ({"every": 60, "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_at"),
    ],
)
def test_what_cannot_fire_is_refused_with_its_field(said: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as refused:
        rule(**said)
    assert refused.value.field == field
