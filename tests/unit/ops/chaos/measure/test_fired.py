"""Firings of a run, with planted faults: each is found."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from ops.chaos.measure.fired import Found, Row, Rule, Seen, rows

TIMES = [datetime(2027, 1, 1, tzinfo=UTC) + n * timedelta(seconds=5) for n in range(3)]
RULE = Rule("every 5", TIMES)
JOBS = ["a", "b", "c"]
SUCCEEDED = dict.fromkeys(JOBS, "succeeded")


def judged(
    times: Sequence[datetime] = TIMES,
    jobs: Sequence[str] = JOBS,
    states: dict[str, str] = SUCCEEDED,
    ran: Sequence[str] = JOBS,
) -> Row:
    return rows([(RULE, Seen(times, [0.1] * len(times), jobs, states))], ran)[-1]


def test_every_firing_with_its_job_is_right() -> None:
    row = judged()
    assert (row.right, row.expected, row.late_most) == (True, 3, 0.1)


@pytest.mark.parametrize(
    ("row", "missing", "double", "unsuccessful"),
    [
        pytest.param(judged(times=TIMES[:2], jobs=["a", "b", "c"]), 1, 0, 0, id="a time did not fire"),
        pytest.param(judged(times=[*TIMES, TIMES[0]]), 0, 1, 0, id="a time fired twice"),
        pytest.param(judged(states=SUCCEEDED | {"d": "succeeded"}), 0, 1, 0, id="a job of no firing"),
        pytest.param(judged(ran=[*JOBS, "d"]), 0, 1, 0, id="a job ran that nobody knows"),
        pytest.param(judged(states=SUCCEEDED | {"b": "failed"}), 0, 0, 1, id="a job failed"),
        pytest.param(judged(states={"a": "succeeded", "b": "succeeded"}), 0, 0, 1, id="a job is gone"),
        pytest.param(judged(ran=["a", "b"]), 0, 0, 1, id="a job succeeded that no handler ran"),
    ],
)
def test_each_fault_is_found(row: Row, missing: int, double: int, unsuccessful: int) -> None:
    assert (row.missing, row.double, row.unsuccessful) == (missing, double, unsuccessful)
    assert not row.right


def test_a_run_in_which_only_one_beat_was_killed_shows_nothing() -> None:
    assert Found(minutes=1, kills={"beat": 3, "second-beat": 3}, rows=[judged()]).right
    assert not Found(minutes=1, kills={"beat": 3}, rows=[judged()]).right


def test_each_rule_has_a_row_and_all_have_one() -> None:
    other = Rule("every 10", TIMES[:1])
    found = rows([(RULE, Seen(TIMES, [0.1, 0.2, 0.3], JOBS, SUCCEEDED)), (other, Seen([], [], [], {}))], JOBS)
    assert [(row.rule, row.schedules, row.missing) for row in found] == [
        ("every 5", 1, 0),
        ("every 10", 1, 1),
        ("all", 2, 1),
    ]
