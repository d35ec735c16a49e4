"""What becomes of fire times while a job of an earlier firing lives, or does not."""

from datetime import UTC, datetime, timedelta

import pytest

from schedules.turn import CROWDED, LIVES, REPLACED, Turn, turn
from worker.scheduling import Overlap

ONE, TWO, THREE = (datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(hours=hour) for hour in range(3))


@pytest.mark.parametrize(
    ("overlap", "decided"),
    [
        ("allow", Turn(fire=[ONE, TWO])),
        ("skip", Turn(skip=[ONE, TWO], reason=LIVES)),
        ("queue", Turn(wait=[ONE, TWO], reason=CROWDED)),
        ("replace", Turn(fire=[TWO], skip=[ONE], reason=REPLACED, replaces=True)),
    ],
)
def test_while_a_job_lives(overlap: Overlap, decided: Turn) -> None:
    assert turn(overlap, [ONE, TWO], [], 9, living=True) == decided


@pytest.mark.parametrize(
    ("overlap", "decided"),
    [
        ("allow", Turn(fire=[ONE, TWO])),
        ("skip", Turn(fire=[ONE], skip=[TWO], reason=LIVES)),
        ("queue", Turn(fire=[ONE], wait=[TWO], reason=CROWDED)),
        ("replace", Turn(fire=[TWO], skip=[ONE], reason=REPLACED)),
    ],
)
def test_once_none_does(overlap: Overlap, decided: Turn) -> None:
    assert turn(overlap, [ONE, TWO], [], 9, living=False) == decided


def test_those_that_wait_go_first() -> None:
    assert turn("queue", [THREE], [ONE, TWO], 9, living=False).fire == [ONE]


def test_so_many_wait_and_no_more() -> None:
    decided = turn("queue", [TWO, THREE], [ONE], 2, living=True)

    assert (decided.wait, decided.skip, decided.reason) == ([ONE, TWO], [THREE], CROWDED)


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue", "replace"])
def test_nothing_is_done_where_nothing_is_due(overlap: Overlap) -> None:
    nothing = turn(overlap, [], [], 9, living=True)

    assert [nothing.fire, nothing.wait, nothing.skip] == [[], [], []]
    assert not nothing.replaces


def test_what_waited_fires_when_the_policy_was_changed() -> None:
    assert turn("allow", [], [ONE, TWO], 9, living=True).fire == [ONE, TWO]


@pytest.mark.parametrize("overlap", ["allow", "skip", "queue", "replace"])
def test_what_waits_is_not_due_besides(overlap: Overlap) -> None:
    """A change that waited for a beat begins where the beat began."""
    decided = turn(overlap, [ONE], [ONE], 9, living=False)

    assert [decided.fire, decided.wait, decided.skip] == [[ONE], [], []]
