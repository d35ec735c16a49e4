"""Which fire times of a schedule get a job, and when that job is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from worker.scheduling import LATE, Definition, Missed, Schedule

NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def schedule(**said: Any) -> Schedule:
    return Schedule.of("s", msgspec.convert({"kind": "test.greet", "cron": "0 * * * *"} | said, Definition))


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_a_fire_time_that_has_just_come_fires(missed: Missed) -> None:
    hourly = schedule(missed=missed)

    assert hourly.due(NINE - MINUTE, NINE).times == [NINE]
    assert hourly.due(NINE, NINE + MINUTE).times == []
    assert hourly.due(NINE - MINUTE, NINE - timedelta(microseconds=1)).times == []


@pytest.mark.parametrize(("missed", "fired"), [("skip", []), ("one", [12]), ("all", [10, 11, 12])])
def test_what_passed_without_a_beat_is_made_up_as_the_policy_says(missed: Missed, fired: list[int]) -> None:
    due = schedule(missed=missed).due(NINE, NINE + timedelta(hours=3, minutes=30))

    assert [time.hour for time in due.times] == fired
    assert due.missed == (NINE + timedelta(hours=3) if missed == "skip" else None)


@pytest.mark.parametrize("missed", ["skip", "one", "all"])
def test_what_is_a_minute_old_was_not_missed(missed: Missed) -> None:
    often = schedule(cron="*/20 * * * * *", missed=missed)

    assert len(often.due(NINE, NINE + LATE).times) == 3


@pytest.mark.parametrize("missed", ["skip", "one"])
def test_where_one_is_on_time_nothing_is_made_up(missed: Missed) -> None:
    often = schedule(cron="* * * * *", missed=missed)

    assert often.due(NINE, NINE + timedelta(hours=3, seconds=10)).times == [NINE + timedelta(hours=3)]


def test_so_many_are_made_up_and_no_more() -> None:
    due = schedule(missed="all", limit=5).due(NINE - timedelta(days=365), NINE + 30 * MINUTE)

    assert [time.hour for time in due.times] == [5, 6, 7, 8, 9]


def test_its_job_is_due_at_the_fire_time_or_within_the_jitter() -> None:
    late = schedule(jitter=60)

    due = {late.job_at(NINE).scheduled_at for _ in range(50)}

    assert len(due) > 1
    assert all(NINE <= moment <= NINE + MINUTE for moment in due if moment)
    assert schedule().job_at(NINE).scheduled_at == NINE
