import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.turns import Turns

PATIENCE = 20.0


class Reader:
    """Reads when it is let, and counts how often, and how many did so at once."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.readings = 0
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def read(self) -> int:
        with self._lock:
            self.readings += 1
            number = self.readings
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.begun.release()
        assert self.let.acquire(timeout=PATIENCE)
        with self._lock:
            self.at_once -= 1
        return number


def standing(turns: Turns, key: str, count: int) -> Callable[[], bool]:
    return lambda: key in turns._lines and turns._lines[key].waiting == count


def until(condition: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(2000):
        if condition():
            return
        tick.wait(0.01)
    raise AssertionError("it did not happen")


def test_a_crowd_that_wants_the_same_is_served_by_few_readings() -> None:
    turns, reader = Turns(2), Reader()
    with ThreadPoolExecutor(30) as threads:
        found = [threads.submit(turns.take, "a", reader.read) for _ in range(30)]
        until(standing(turns, "a", 30))
        reader.let.release(30)
        numbers = {future.result(PATIENCE) for future in found}
    assert reader.readings <= 4  # the two that began too early for the others, and at most two more
    assert numbers <= set(range(1, 5))
    assert turns._lines == {}


def test_who_comes_when_a_reading_has_begun_does_not_get_what_it_brings() -> None:
    turns, reader = Turns(1), Reader()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(turns.take, "a", reader.read)
        assert reader.begun.acquire(timeout=PATIENCE)
        second = threads.submit(turns.take, "a", reader.read)
        until(standing(turns, "a", 2))
        reader.let.release(2)
        assert (first.result(PATIENCE), second.result(PATIENCE)) == (1, 2)


def test_different_things_are_read_apart_and_never_more_at_once_than_there_are_turns() -> None:
    turns, reader = Turns(3), Reader()
    with ThreadPoolExecutor(10) as threads:
        found = [threads.submit(turns.take, str(number), reader.read) for number in range(10)]
        reader.let.release(10)
        assert {future.result(PATIENCE) for future in found} == set(range(1, 11))
    assert reader.most <= 3


def test_a_reading_that_fails_is_its_readers_alone() -> None:
    turns = Turns(1)

    def fail() -> int:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        turns.take("a", fail)
    assert turns.take("a", lambda: 7) == 7
    assert turns._lines == {}
