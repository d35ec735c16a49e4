"""What looking for the mark costs where nothing was lost."""

import pytest

from schedules.mark import Mark
from schedules.metrics import Metrics
from tests.unit.schedules.stand_ins import FakeLedger
from worker.broker import BrokerDown
from worker.ledger import broker_mark, messages


class FakeBroker:
    """Holds marks; away while a test says so."""

    def __init__(self) -> None:
        self.marks: set[str] = set()
        self.away = False

    def holds(self, mark: str) -> bool:
        if self.away:
            raise BrokerDown("away")
        return mark in self.marks

    def leave(self, mark: str) -> None:
        self.marks.add(mark)

    def remove(self, mark: str) -> None:
        self.marks.discard(mark)


class Remembered:
    """What the ledger has of the mark, and how often it was asked."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.asked = self.forgot = 0

    def lock_current(self, _connection: object) -> str | None:
        self.asked += 1
        return self.name

    def replace(self, _connection: object, name: str) -> None:
        self.name = name

    def forget_all(self, _connection: object) -> int:
        self.forgot += 1
        return 7


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> Remembered:
    memory = Remembered()
    monkeypatch.setattr(broker_mark, "lock_current", memory.lock_current)
    monkeypatch.setattr(broker_mark, "replace", memory.replace)
    monkeypatch.setattr(messages, "forget_all", memory.forget_all)
    return memory


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def mark(broker: FakeBroker) -> Mark:
    return Mark(FakeLedger(), broker, Metrics())  # type: ignore[arg-type]


def test_the_ledger_is_asked_once_while_nothing_is_lost(mark: Mark, remembered: Remembered) -> None:
    for _ in range(100):
        mark.look()

    assert (remembered.asked, remembered.forgot) == (1, 0)


def test_each_loss_is_followed_by_another_mark(
    mark: Mark, broker: FakeBroker, remembered: Remembered
) -> None:
    names = set()
    for _ in range(3):
        mark.look()
        names.add(remembered.name)
        broker.marks.clear()

    assert len(names) == 3
    assert remembered.forgot == 2


def test_a_broker_that_is_away_lost_nothing_as_far_as_anybody_knows(
    mark: Mark, broker: FakeBroker, remembered: Remembered
) -> None:
    mark.look()
    broker.away = True

    with pytest.raises(BrokerDown):
        mark.look()

    assert remembered.forgot == 0
