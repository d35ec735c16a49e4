"""Rounds: every part gets its turn, whatever becomes of the others."""

import threading

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


def test_a_side_round_goes_on_until_it_is_stopped_and_then_cleans_up(
    repeated: Round, parts: list[FakePart]
) -> None:
    ran_often, ended = threading.Event(), threading.Event()

    def run(todo: Agenda) -> bool:  # noqa: ARG001 - a part's
        assert not ended.is_set()
        if parts[1].turns >= 3:
            ran_often.set()
        return True

    parts[2].run = run  # type: ignore[method-assign]
    side = SideRound(repeated, ended.set)

    side.start()
    assert ran_often.wait(10)
    assert not ended.is_set()
    side.stop(10)

    assert ended.is_set()


def test_a_side_round_that_hangs_does_not_hold_up_the_end(repeated: Round, parts: list[FakePart]) -> None:
    entered, release, ended = threading.Event(), threading.Event(), threading.Event()

    def hang(todo: Agenda) -> bool:  # noqa: ARG001 - a part's
        entered.set()
        return release.wait(10)

    parts[0].run = hang  # type: ignore[method-assign]
    side = SideRound(repeated, ended.set)
    side.start()
    assert entered.wait(10)

    side.stop(0.05)

    assert not ended.is_set()
    release.set()
    assert ended.wait(10)
