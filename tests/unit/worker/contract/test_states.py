from worker.contract.states import FINAL, LIVE, Priority, State


def test_a_state_is_final_or_live() -> None:
    assert set(State) == FINAL | LIVE
    assert not FINAL & LIVE
    assert sorted(FINAL) == [State.CANCELLED, State.FAILED, State.SUCCEEDED]


def test_priorities_rank_from_low_to_high_and_back() -> None:
    assert [priority.rank for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)] == [0, 1, 2]
    assert [Priority.of_rank(priority.rank) for priority in Priority] == list(Priority)
