"""What grows while something goes on for long."""

import time

import pytest

from ops.bench.looks import Look, growth, looks
from ops.bench.measures.soak import Seen, grown
from ops.bench.pace import Ended

STEADY = [Ended(float(second), 0.05) for second in range(40)]


def seen(megabytes: float = 100.0, files: float = 20.0, connections: float = 30.0) -> Look[Seen]:
    return Look(0.0, Seen({"api": megabytes}, {"api": files}, {"PostgreSQL": connections}))


def test_growth_is_what_the_last_quarter_has_more_than_the_second() -> None:
    assert growth([float(value) for value in range(100)]) == 50
    assert growth([5.0] * 8) == 0


def test_warming_up_is_no_growth() -> None:
    assert growth([1.0, 50.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0]) == 0


def test_what_stays_as_it_is_gives_no_complaint() -> None:
    assert list(grown([seen()] * 40, STEADY)) == []


@pytest.mark.parametrize(
    ("late", "complaint"),
    [
        (seen(megabytes=115.0), "api holds 15 MB more"),
        (seen(files=31.0), "api has 11 more open files"),
        (seen(connections=41.0), "PostgreSQL has 11 more connections"),
    ],
)
def test_what_grows_is_told(late: Look[Seen], complaint: str) -> None:
    assert list(grown([seen()] * 20 + [late] * 20, STEADY)) == [complaint]


def test_a_little_growth_of_what_is_large_is_none() -> None:
    assert list(grown([seen(megabytes=1000.0)] * 20 + [seen(megabytes=1090.0)] * 20, STEADY)) == []


def test_answers_that_take_longer_and_longer_are_told() -> None:
    slower = [*STEADY[:30], *(Ended(float(second), 0.2) for second in range(30, 40))]
    assert list(grown([seen()] * 40, slower)) == ["the median latency went from 50 to 200 ms"]


def test_looks_begin_at_once_and_end_with_one_more() -> None:
    with looks(lambda: 1, 3600.0) as found:
        assert [each.seen for each in found] == [1]
    assert len(found) == 2


def test_a_look_that_fails_is_not_passed_over() -> None:
    answers = [1]
    with pytest.raises(IndexError), looks(answers.pop, 0.001):
        time.sleep(0.1)
