"""What a command of an operator answers, where a pool does not do all of it."""

from typing import Any

from worker.runtime.steering import pool_grow, pool_shrink


class Pool:
    """A pool of processes, of which some run jobs; billiard's, as far as it is told what to do."""

    def __init__(self, slots: int, busy: int) -> None:
        self.num_processes = slots
        self._busy = busy

    def grow(self, n: int) -> None:
        self.num_processes += n

    def shrink(self, n: int) -> None:
        taken = min(n, self.num_processes - self._busy)
        self.num_processes -= taken
        if taken < n:
            raise ValueError("Can't shrink pool. All processes busy!")


class Redis:
    class transport:  # noqa: N801 - kombu's name
        driver_type = "redis"


class Consumer:
    connection = Redis

    def __init__(self, pool: object) -> None:
        self.pool = pool
        self.fetched_ahead = 0

    def _update_prefetch_count(self, index: int) -> None:
        self.fetched_ahead += index


class PanelState:
    def __init__(self, pool: object) -> None:
        self.consumer = Consumer(pool)


def panel(slots: int = 4, busy: int = 0) -> PanelState:
    return PanelState(Pool(slots, busy))


def test_what_is_fetched_ahead_follows_the_slots() -> None:
    state = panel()
    assert pool_grow(state, n=3) == {"ok": "slots: 7"}
    assert state.consumer.fetched_ahead == 3
    assert pool_shrink(state) == {"ok": "slots: 6"}
    assert state.consumer.fetched_ahead == 2


def test_what_was_taken_counts_where_too_few_slots_were_free() -> None:
    state = panel(4, busy=3)
    answer: Any = pool_shrink(state, n=2)
    assert answer["error"].startswith("only 1 of 2 were free")
    assert state.consumer.fetched_ahead == -1


def test_one_slot_stays() -> None:
    state = panel(2)
    assert pool_shrink(state, n=2)["error"].startswith("of 2 slots one must stay")
    assert state.consumer.fetched_ahead == 0
