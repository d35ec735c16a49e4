from pathlib import Path

from tests.unit.worker.runtime.test_attendant import attempt_of
from worker.runtime.lineup import Lineup


def test_whoever_ends_first_gives_way_to_the_next(tmp_path: Path) -> None:
    lineup = Lineup()
    assert lineup.first() is None
    slow, first, second = (attempt_of(tmp_path, deadline=seconds) for seconds in (300, 60, 60))
    for attempt in (slow, first, second):
        lineup.add(attempt)
    for expected in (first, second, slow):
        assert lineup.first() is expected
        lineup.remove(expected)
    assert lineup.first() is None


def test_who_left_already_may_leave_again(tmp_path: Path) -> None:
    lineup = Lineup()
    attempt = attempt_of(tmp_path)
    lineup.remove(attempt)
    lineup.add(attempt)
    lineup.remove(attempt)
    lineup.remove(attempt)
    assert lineup.first() is None
