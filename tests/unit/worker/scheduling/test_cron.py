"""When a cron expression fires, where clocks are put forward and back too."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.scheduling.cron import Cron, CronError

BERLIN = ZoneInfo(
    "Europe/Berlin"
)  # forward on 2026-03-29 from 2:00 to 3:00, back on 2026-10-25 from 3:00 to 2:00


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fires(expression: str, after: str, count: int, timezone: str = "UTC") -> list[str]:
    """The next fire times, as the clock on the wall shows them, with their offset from UTC."""
    times = islice(Cron(expression, timezone).after(utc(after)), count)
    return [time.astimezone(ZoneInfo(timezone)).isoformat(" ") for time in times]


def test_five_fields_fire_at_full_minutes() -> None:
    assert fires("*/20 * * * *", "2026-01-01 00:00", 3) == [
        "2026-01-01 00:20:00+00:00",
        "2026-01-01 00:40:00+00:00",
        "2026-01-01 01:00:00+00:00",
    ]


def test_six_fields_begin_with_seconds() -> None:
    assert fires("*/20 * * * * *", "2026-01-01 00:00:05.5", 2) == [
        "2026-01-01 00:00:20+00:00",
        "2026-01-01 00:00:40+00:00",
    ]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 L * *", ["01-31", "02-28", "03-31"]),  # the last day
        ("0 0 LW * *", ["01-30", "02-27", "03-31"]),  # the last weekday
        ("0 0 * * 5L", ["01-30", "02-27", "03-27"]),  # the last Friday
        ("0 0 * * MON#1", ["01-05", "02-02", "03-02"]),  # the first Monday
        ("0 0 * * fri#5", ["01-30", "05-29", "07-31"]),  # a fifth Friday, where there is one
        ("0 0 1 JAN,MAR-APR *", ["03-01", "04-01", "01-01"]),
        ("0 0 * * SUN", ["01-04", "01-11", "01-18"]),
        ("0 0 * * 7", ["01-04", "01-11", "01-18"]),
    ],
)
def test_names_last_days_and_numbered_weekdays_are_known(expression: str, days: list[str]) -> None:
    assert [time[5:10] for time in fires(expression, "2026-01-01 12:00", 3)] == days


def test_a_time_that_has_just_come_is_not_to_come() -> None:
    assert fires("0 3 * * *", "2026-01-01 03:00", 1) == ["2026-01-02 03:00:00+00:00"]
    assert fires("0 3 * * *", "2026-01-01 02:59:59.999", 1) == ["2026-01-01 03:00:00+00:00"]


def test_the_time_of_day_is_that_of_the_zone() -> None:
    assert fires("0 9 * * *", "2026-01-01 07:59", 1, "Europe/Berlin") == ["2026-01-01 09:00:00+01:00"]
    assert fires("0 9 * * *", "2026-07-01 06:59", 1, "Europe/Berlin") == ["2026-07-01 09:00:00+02:00"]


def test_a_time_that_does_not_exist_fires_at_the_first_moment_that_does() -> None:
    assert fires("30 2 * * *", "2026-03-28 12:00", 2, "Europe/Berlin") == [
        "2026-03-29 03:00:00+02:00",
        "2026-03-30 02:30:00+02:00",
    ]


def test_several_times_that_do_not_exist_fire_once() -> None:
    assert fires("0,30 2,3 * * *", "2026-03-29 00:00", 2, "Europe/Berlin") == [
        "2026-03-29 03:00:00+02:00",
        "2026-03-29 03:30:00+02:00",
    ]


def test_a_time_that_comes_twice_fires_the_first_time() -> None:
    assert fires("30 2 * * *", "2026-10-24 12:00", 2, "Europe/Berlin") == [
        "2026-10-25 02:30:00+02:00",
        "2026-10-26 02:30:00+01:00",
    ]


def test_a_time_that_comes_twice_is_over_when_the_hour_begins_again() -> None:
    second_time = "2026-10-25 01:10"  # 2:10 on the wall, for the second time
    assert fires("30 2 * * *", second_time, 1, "Europe/Berlin") == ["2026-10-26 02:30:00+01:00"]


@pytest.mark.parametrize("after", ["2026-03-29 00:00", "2026-10-24 23:00"])
def test_every_half_hour_is_every_half_hour_whatever_the_clock_shows(after: str) -> None:
    times = list(islice(Cron("*/30 * * * *", "Europe/Berlin").after(utc(after)), 8))

    assert times == [utc(after) + number * timedelta(minutes=30) for number in range(1, 9)]


def test_six_fields_skip_what_does_not_exist_and_repeat_what_comes_twice() -> None:
    assert fires("0 30 2 * * *", "2026-03-28 12:00", 1, "Europe/Berlin") == ["2026-03-30 02:30:00+02:00"]
    assert fires("0 30 2 * * *", "2026-10-24 12:00", 2, "Europe/Berlin") == [
        "2026-10-25 02:30:00+02:00",
        "2026-10-25 02:30:00+01:00",
    ]


@pytest.mark.parametrize(
    ("expression", "timezone", "reason"),
    [
        ("61 * * * *", "UTC", "Bad minute"),
        ("* * * *", "UTC", "Wrong number of fields"),
        ("", "UTC", "Wrong number of fields"),
        ("@daily", "UTC", "Wrong number of fields"),
        ("0 0 31 2 *", "UTC", "Bad day-of-month"),
        ("0 0 * * MON#6", "UTC", "Bad day-of-week"),
        ("0 0 * * L", "UTC", "Bad day-of-week"),
        ("0 0 */31 2 MON#5", "UTC", "never fires"),
        ("* * * * *", "Europe/Atlantis", "not an IANA time zone"),
        ("* * * * *", "", "not an IANA time zone"),
        ("* * * * *", "localtime", "not an IANA time zone"),
        ("* * * * *", "Europe", "not an IANA time zone"),
        ("* * * * *", "../../etc/passwd", "not an IANA time zone"),
    ],
)
def test_what_cannot_fire_is_refused_with_a_reason(expression: str, timezone: str, reason: str) -> None:
    with pytest.raises(CronError, match=reason):
        Cron(expression, timezone)


EXPRESSIONS = st.sampled_from(
    [
        "30 2 * * *",
        "0,30 2,3 * * *",
        "*/7 * * * *",
        "0 */2 * * *",
        "15 1-4 * * SUN",
        "0 30 2 * * *",
        "5 0 1 * *",
    ]
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])
MOMENTS = st.one_of(
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - UTC is added below
    # Around the hours that are missing and doubled.
    st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 30)),  # noqa: DTZ001
    st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 26)),  # noqa: DTZ001
).map(lambda naive: naive.replace(tzinfo=UTC))


@given(EXPRESSIONS, ZONES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=3)), st.integers(1, 9))
def test_far_enough_back_lie_as_many_fire_times_as_are_wanted(
    expression: str, timezone: str, after: datetime, span: timedelta, count: int
) -> None:
    cron = Cron(expression, timezone)
    until = after + span

    begin = cron.before(until, count)

    assert begin is not None
    every = list(takewhile(lambda fire_at: fire_at <= until, cron.after(begin)))
    assert len(every) >= count
    assert every == sorted(set(every))


@given(EXPRESSIONS, ZONES, MOMENTS)
def test_going_on_from_a_fire_time_misses_none(expression: str, timezone: str, after: datetime) -> None:
    cron = Cron(expression, timezone)
    first, second, third = islice(cron.after(after), 3)

    assert list(islice(cron.after(first), 2)) == [second, third]
    assert next(cron.after(second - timedelta(microseconds=1))) == second
