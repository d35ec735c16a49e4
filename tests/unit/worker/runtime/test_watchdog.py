"""When a worker counts as deaf, with a clock and a broker that a test plays."""

import threading
from collections.abc import Collection, Iterator, Mapping

import pytest
from loguru import logger
from sqlalchemy.exc import OperationalError

from worker.broker import BrokerDown
from worker.runtime.watchdog import Watchdog

PATIENCE = 30.0
LOOK = 5.0  # seconds between two looks


class World:
    """What a watchdog looks at: a worker with a slot free, a broker with messages, a ledger with jobs."""

    def __init__(self) -> None:
        self.now = 100.0
        self.lanes: Collection[str] = ("email",)
        self.depth: int | None = 3  # None: the broker is away
        self.claimable: bool | None = True  # None: the ledger is away
        self.asked = 0  # the broker
        self.watchdog = Watchdog(
            patience=PATIENCE,
            hungry=lambda: self.lanes,
            depths=self._depths,
            claimable=self._claimable,
            stalled=lambda: None,
            clock=lambda: self.now,
        )

    def deaf_within(self, seconds: float) -> bool:
        """Whether one of the looks of that time says so."""
        return any(self._look_later() for _ in range(int(seconds / LOOK)))

    def _look_later(self) -> bool:
        self.now += LOOK
        return self.watchdog.look()

    def _depths(self, lanes: Collection[str]) -> Mapping[str, int]:
        self.asked += 1
        if self.depth is None:
            raise BrokerDown("away")
        return dict.fromkeys(lanes, self.depth)

    def _claimable(self, _lanes: Collection[str]) -> bool:
        if self.claimable is None:
            raise OperationalError("statement", {}, Exception("away"))
        return self.claimable


@pytest.fixture
def world() -> World:
    return World()


def test_a_worker_that_hears_nothing_while_messages_wait_is_deaf_after_a_while(world: World) -> None:
    assert not world.deaf_within(PATIENCE - LOOK)
    assert world.deaf_within(2 * LOOK)


def test_nothing_waits_for_an_idle_worker(world: World) -> None:
    world.depth = 0
    assert not world.deaf_within(10 * PATIENCE)


def test_a_message_that_is_heard_begins_the_time_anew_even_if_it_is_nobodys(world: World) -> None:
    for _ in range(20):
        assert not world.deaf_within(PATIENCE - LOOK)
        world.watchdog.heard()


def test_a_busy_worker_does_not_ask_the_broker(world: World) -> None:
    for _ in range(10):
        world.now += LOOK
        world.watchdog.heard()
        world.watchdog.look()
    assert world.asked == 0


@pytest.mark.parametrize("lanes", [(), ("email",)], ids=["no slot free or no queue", "the queue was empty"])
def test_one_moment_without_a_reason_to_hear_begins_the_time_anew(
    world: World, lanes: tuple[str, ...]
) -> None:
    for _ in range(20):
        assert not world.deaf_within(PATIENCE - LOOK)
        world.lanes, world.depth = lanes, 0
        assert not world.deaf_within(LOOK)
        world.lanes, world.depth = ("email",), 3


def test_while_the_broker_is_away_nobody_is_deaf_and_afterwards_there_is_time(world: World) -> None:
    world.depth = None
    assert not world.deaf_within(10 * PATIENCE)
    world.depth = 3
    assert not world.deaf_within(PATIENCE - LOOK)
    assert world.deaf_within(2 * LOOK)


def test_messages_of_which_no_job_may_be_claimed_are_no_reason(world: World) -> None:
    world.claimable = False
    assert not world.deaf_within(10 * PATIENCE)


def test_a_worker_that_just_started_has_time(world: World) -> None:
    world.now += 10 * PATIENCE
    world.watchdog.start()
    world.watchdog.stop()
    assert not world.deaf_within(PATIENCE - LOOK)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    said: list[str] = []
    sink = logger.add(lambda message: said.append(message.record["message"]))
    yield said
    logger.remove(sink)


def test_it_ends_the_worker_once_and_looks_no_more(lines: list[str]) -> None:
    ended = threading.Event()
    Watchdog(
        patience=0.06,
        hungry=lambda: ("email",),
        depths=lambda lanes: dict.fromkeys(lanes, 1),
        claimable=lambda _lanes: True,
        stalled=ended.set,
    ).start()
    assert ended.wait(10)
    assert lines == ["stalled"]


def test_it_goes_on_where_a_look_fails(lines: list[str]) -> None:
    ended = threading.Event()
    errors: list[Exception] = [RuntimeError("a defect"), OperationalError("statement", {}, Exception("away"))]

    def claimable(_lanes: Collection[str]) -> bool:
        if errors:
            raise errors.pop()
        return True

    Watchdog(
        patience=0.06,
        hungry=lambda: ("email",),
        depths=lambda lanes: dict.fromkeys(lanes, 1),
        claimable=claimable,
        stalled=ended.set,
    ).start()
    assert ended.wait(10)
    assert lines == ["watchdog_without_ledger", "watchdog_failed", "stalled"]


def test_a_worker_that_stops_is_not_deaf() -> None:
    ended = threading.Event()
    watchdog = Watchdog(
        patience=0.06,
        hungry=lambda: ("email",),
        depths=lambda lanes: dict.fromkeys(lanes, 1),
        claimable=lambda _lanes: True,
        stalled=ended.set,
    )
    watchdog.stop()
    watchdog.start()
    assert not ended.wait(0.3)
