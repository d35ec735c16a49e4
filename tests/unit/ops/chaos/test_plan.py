"""The plan of a chaos run: replayed by its seed, within its time, of the faults that were asked for."""

import pytest

from ops.chaos.carrier import Carrier
from ops.chaos.faults import FAULTS, Lane
from ops.chaos.plan import draw
from ops.chaos.run import Course


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert draw(1, 300, FAULTS.values()) == draw(1, 300, FAULTS.values())
    assert draw(1, 300, FAULTS.values()) != draw(2, 300, FAULTS.values())


def test_every_fault_is_mended_within_the_time_and_before_the_next_of_its_lane() -> None:
    for lane in draw(3, 300, FAULTS.values()).values():
        ends = [planned.at + planned.lasts for planned in lane]
        assert max(ends) <= 300
        assert all(end < later.at for end, later in zip(ends, lane[1:], strict=False))


@pytest.mark.parametrize("carrier", Carrier)
def test_ten_minutes_are_enough_for_two_hundred_faults_of_every_kind_that_a_broker_knows(
    carrier: Carrier,
) -> None:
    course = Course(seconds=600, seed=1, rate=1, broker=carrier)
    drawn = [planned.name for lane in course.plan().values() for planned in lane]
    assert len(drawn) >= 200
    assert set(drawn) == {fault.name for fault in FAULTS.values() if carrier in fault.carriers}


def test_what_only_one_broker_knows_is_not_done_to_the_other() -> None:
    assert FAULTS["broker-paused"].carriers == {Carrier.VALKEY}
    assert FAULTS["broker-alarmed"].carriers == {Carrier.RABBITMQ}
    assert FAULTS["broker-killed"].carriers == FAULTS["worker-killed"].carriers == set(Carrier)


def test_only_what_was_asked_for_is_planned() -> None:
    drawn = draw(1, 120, [FAULTS["beat-killed"], FAULTS["broker-flushed"]])
    assert {lane: {planned.name for planned in found} for lane, found in drawn.items()} == {
        Lane.PROCESSES: {"beat-killed"},
        Lane.BROKER: {"broker-flushed"},
    }


def test_a_higher_pace_makes_more_faults() -> None:
    calm, wild = (draw(1, 300, FAULTS.values(), pace) for pace in (1.0, 3.0))
    assert sum(map(len, wild.values())) > 1.5 * sum(map(len, calm.values()))


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_says_what_it_does(fault: object) -> None:
    assert getattr(fault, "does", "").endswith(".")
