"""Which children of a prefork pool an operator may take from it, and how soon a dead one is seen."""

from types import SimpleNamespace
from typing import Any

import pytest

from worker.runtime.slots import Slots


class Child:
    """A process of the pool, as billiard sees it."""

    def __init__(self, number: int) -> None:
        self.pid = number
        self.inqW_fd = number + 100  # billiard's name
        self._controlled_termination = False

    def terminate_controlled(self) -> None:
        self._controlled_termination = True


def pool(children: int, *, sent: list[int], begun: list[int]) -> Any:
    """A pool that was never started: its children are numbered from 0."""
    slots = object.__new__(Slots)
    slots._pool = [Child(number) for number in range(children)]
    slots._processes = children
    slots._putlock = None
    slots._busy_workers = {number + 100 for number in sent}
    slots._cache = {number: SimpleNamespace(worker_pids=lambda pid=number: [pid]) for number in begun}
    return slots


def gone(slots: Any) -> list[int]:
    return [child.pid for child in slots._pool if child._controlled_termination]


def test_a_child_that_runs_a_job_or_was_just_sent_one_stays() -> None:
    slots = pool(3, sent=[0], begun=[1])
    slots.shrink(1)
    assert gone(slots) == [2]


def test_where_too_few_are_free_those_are_taken_and_it_is_said() -> None:
    slots = pool(3, sent=[0], begun=[1])
    with pytest.raises(ValueError, match="busy"):
        slots.shrink(2)
    assert gone(slots) == [2]


def test_a_child_that_was_told_to_go_is_sent_nothing_more_and_counts_once() -> None:
    slots = pool(3, sent=[], begun=[])
    slots.shrink(1)
    assert slots._busy_workers == {100}
    slots.shrink(1)
    assert gone(slots) == [0, 1]


def test_a_child_that_is_not_dead_yet_when_its_pipe_closes_is_looked_at_again_within_a_second() -> None:
    later: list[tuple[float, Any]] = []
    hub = SimpleNamespace(call_later=lambda seconds, look: later.append((seconds, look)))
    slots = object.__new__(Slots)
    looks: list[float] = []
    slots.maintain_pool = lambda: looks.append(0.0)
    slots._event_process_exit(hub, SimpleNamespace())
    for seconds, look in later:
        assert seconds < 1
        look()
    assert len(looks) == 1 + len(later) >= 2
