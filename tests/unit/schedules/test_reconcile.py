"""When reconcile asks, and which queues count as empty."""

from collections.abc import Collection

import pytest
from sqlalchemy import Connection

from schedules import reconcile
from schedules.metrics import Metrics
from schedules.reconcile import Reconcile
from tests.unit.schedules.stand_ins import Clock, FakeLedger, todo
from worker.broker import BrokerDown
from worker.contract.queues import QUEUES
from worker.ledger import messages
from worker.settings import Settings


class FakeBroker:
    """Holds what a test says."""

    def __init__(self) -> None:
        self.held = dict.fromkeys(QUEUES, 5)
        self.away = False
        self.looks = 0

    def depths(self, names: Collection[str]) -> dict[str, int]:
        self.looks += 1
        if self.away:
            raise BrokerDown("away")
        return {name: self.held[name] for name in names}

    def holds(self, _mark: str) -> bool:
        return True

    def remove(self, _mark: str) -> None:
        """None of ours is too many."""


class Beat:
    """A reconcile that a test lets tick, and what it asked of the ledger."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.broker = Clock(), FakeBroker()
        self.forgot: list[Collection[str]] = []
        self.thorough = 0
        settings = Settings(reconcile_empty=3.0)
        ledger, metrics = FakeLedger(), Metrics()
        self.part = Reconcile(ledger, self.broker, settings, metrics, self.clock)  # type: ignore[arg-type]

        def forget_lanes(_: Connection, lanes: Collection[str], isolation: str, age: float) -> int:
            assert (isolation, age) == ("isolation", 3.0)
            self.forgot.append(list(lanes))
            return 0

        def forget_stale(*_: object) -> int:
            self.thorough += 1
            return 0

        monkeypatch.setattr(messages, "forget_lanes", forget_lanes)
        monkeypatch.setattr(messages, "forget_overtaken", lambda *_: 0)
        monkeypatch.setattr(messages, "forget_stale", forget_stale)

    def tick_for(self, seconds: float, *, published: bool = True) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.part.run(todo(published=published))
            self.clock.now += 0.25


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Beat:
    return Beat(monkeypatch)


def test_a_queue_that_holds_messages_has_lost_none(beat: Beat) -> None:
    beat.tick_for(20.0)

    assert beat.forgot == []


def test_a_queue_counts_as_empty_once_it_was_for_a_few_seconds(beat: Beat) -> None:
    beat.broker.held["web"] = 0
    beat.tick_for(2.5)
    assert beat.forgot == []

    beat.tick_for(2.0)
    assert beat.forgot
    assert all(lanes == ["web"] for lanes in beat.forgot)


def test_a_message_that_was_seen_in_between_begins_the_wait_anew(beat: Beat) -> None:
    beat.broker.held["web"] = 0
    beat.tick_for(2.0)
    beat.broker.held["web"] = 1
    beat.tick_for(1.0)
    beat.broker.held["web"] = 0
    beat.tick_for(2.5)

    assert beat.forgot == []


def test_what_nobody_could_see_was_not_empty(beat: Beat) -> None:
    beat.broker.held["web"] = 0
    beat.tick_for(2.0)
    beat.broker.away = True
    with pytest.raises(BrokerDown):
        beat.tick_for(2.0)
    beat.broker.away = False
    beat.tick_for(2.0)

    assert beat.forgot == []


def test_while_nothing_is_published_the_broker_is_not_asked(beat: Beat) -> None:
    beat.broker.held["web"] = 0
    beat.tick_for(10.0, published=False)
    assert beat.broker.looks == 0

    beat.tick_for(1.0)
    assert beat.forgot == []


def test_it_asks_once_a_second_and_the_slow_rules_every_five(beat: Beat) -> None:
    beat.tick_for(20.0)

    assert beat.broker.looks == 20 / reconcile.EVERY
    assert beat.thorough == 20 / reconcile.SELDOM
