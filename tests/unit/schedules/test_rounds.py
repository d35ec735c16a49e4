"""Rounds: every part gets its turn, whatever becomes of the others."""

import threading
import time
from collections.abc import Iterator
from queue import Empty, Queue

import pytest

from schedules.metrics import Metrics
from schedules.rounds import Round, SideRound
from tests.unit.schedules.stand_ins import FakeLedger, todo
from worker.broker import BrokerDown
from worker.ledger import agenda
from worker.ledger.agenda import Agenda

TICK = 0.25


class FakePart:
    """Counts its turns, and does as a test says."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.turns = 0
        self.more = False
        self.error: Exception | None = None

    def run(self, todo: Agenda) -> bool:  # noqa: ARG002 - a part's
        self.turns += 1
        if self.error:
            raise self.error
        return self.more


@pytest.fixture(autouse=True)
def looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "read", lambda _: todo())


@pytest.fixture
def parts() -> list[FakePart]:
    return [FakePart("one"), FakePart("two"), FakePart("three")]


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def repeated(parts: list[FakePart], ledger: FakeLedger, metrics: Metrics) -> Round:
    return Round("time", parts, ledger, TICK, metrics)  # type: ignore[arg-type]


def failures(metrics: Metrics, part: str) -> float | None:
    return metrics.registry.get_sample_value("jobyard_beat_failures_total", {"part": part})


def test_every_part_gets_a_turn(repeated: Round, parts: list[FakePart]) -> None:
    assert repeated.run() == TICK
    assert [part.turns for part in parts] == [1, 1, 1]


def test_while_there_is_more_to_do_the_next_round_follows_at_once(
    repeated: Round, parts: list[FakePart]
) -> None:
    parts[1].more = True

    assert repeated.run() == 0.0


def test_after_an_end_from_which_something_follows_rounds_follow_each_other_soon_for_a_while(
    repeated: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "read", lambda _: todo(ended=True))
    assert repeated.run() < TICK / 2
    monkeypatch.setattr(agenda, "read", lambda _: todo())
    assert repeated.run() < TICK / 2
    repeated._lively_until = time.monotonic()
    assert repeated.run() == TICK


@pytest.mark.parametrize("error", [BrokerDown("away"), KeyError("a defect")])
def test_a_part_that_fails_does_not_stop_the_others(
    repeated: Round, parts: list[FakePart], metrics: Metrics, error: Exception
) -> None:
    parts[0].error = error

    assert repeated.run() == TICK
    assert [part.turns for part in parts] == [1, 1, 1]
    assert failures(metrics, "one") == 1


def test_a_part_that_failed_is_left_alone_for_a_moment(repeated: Round, parts: list[FakePart]) -> None:
    parts[0].error = BrokerDown("away")

    for _ in range(3):
        repeated.run()

    assert [part.turns for part in parts] == [1, 3, 3]


def test_without_the_ledger_no_part_is_bothered_and_the_rounds_grow_seldom(
    repeated: Round, parts: list[FakePart], ledger: FakeLedger, metrics: Metrics
) -> None:
    ledger.away = True

    waits = [repeated.run() for _ in range(5)]

    assert waits == [0.25, 0.5, 1.0, 2.0, 2.0]
    assert [part.turns for part in parts] == [0, 0, 0]
    assert failures(metrics, "ledger") == 5


def test_when_the_ledger_is_back_everything_goes_on(
    repeated: Round, parts: list[FakePart], ledger: FakeLedger
) -> None:
    ledger.away = True
    repeated.run()
    ledger.away = False

    assert repeated.run() == TICK
    assert [part.turns for part in parts] == [1, 1, 1]


def test_when_the_last_round_was_can_be_watched(
    repeated: Round, metrics: Metrics, ledger: FakeLedger
) -> None:
    def last() -> float | None:
        return metrics.registry.get_sample_value(
            "jobyard_beat_last_round_timestamp_seconds", {"round": "time"}
        )

    ledger.away = True
    repeated.run()
    assert not last()
    ledger.away = False
    repeated.run()
    assert last()


class Side:
    """A side round of one part whose turns a test can wait for."""

    def __init__(self, ledger: FakeLedger, metrics: Metrics) -> None:
        self.turns: Queue[None] = Queue()
        self.hold = threading.Event()
        self.hold.set()
        self.more = False
        self.ended = threading.Event()
        part = FakePart("part")
        part.run = self._turn  # type: ignore[method-assign]
        repeated = Round("broker", [part], ledger, TICK, metrics)  # type: ignore[arg-type]
        self.round = SideRound(repeated, self.ended.set)

    def _turn(self, todo: Agenda) -> bool:  # noqa: ARG002 - a part's
        self.turns.put(None)
        assert self.hold.wait(10)
        return self.more

    def turn(self) -> None:
        """Wait for a turn."""
        self.turns.get(timeout=10)


@pytest.fixture
def side(ledger: FakeLedger, metrics: Metrics) -> Iterator[Side]:
    side = Side(ledger, metrics)
    side.round.start()
    side.turn()
    yield side
    side.hold.set()
    side.round.stop(10)


@pytest.mark.parametrize("work", [todo(publishable=True), todo(published=True)])
def test_a_side_round_is_woken_by_work(side: Side, work: Agenda) -> None:
    side.round.run(work)

    side.turn()


def test_a_side_round_sleeps_while_there_is_no_work(side: Side) -> None:
    side.round.run(todo())

    with pytest.raises(Empty):
        side.turns.get(timeout=0.1)


def test_a_side_round_goes_on_by_itself_while_there_is_more_to_do(side: Side) -> None:
    side.more = True
    side.round.run(todo(publishable=True))

    for _ in range(3):
        side.turn()
    side.more = False


def test_a_side_round_cleans_up_when_it_is_stopped(side: Side) -> None:
    assert not side.ended.is_set()

    side.round.stop(10)

    assert side.ended.is_set()


def test_a_side_round_that_hangs_does_not_hold_up_the_end(side: Side) -> None:
    side.hold.clear()
    side.round.run(todo(published=True))
    side.turn()

    side.round.stop(0.05)

    assert not side.ended.is_set()
    side.hold.set()
    assert side.ended.wait(10)
