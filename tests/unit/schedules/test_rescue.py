"""Rescue waits one full lease after its own start, and after any gap in its contact with the ledger."""

from datetime import timedelta
from typing import Any

import pytest

from schedules.metrics import Metrics
from schedules.rescue import Rescue
from tests.unit.schedules.stand_ins import Clock, FakeLedger, todo
from worker.ledger import leases, transitions
from worker.settings import Settings

LEASE, HEARTBEAT = 8.0, 2.0
DEAD = timedelta(seconds=LEASE + 1)


class Beat:
    """A rescue that a test lets tick."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.rescued_at: list[float] = []
        settings = Settings(lease=LEASE, heartbeat=HEARTBEAT)
        self.rescue = Rescue(FakeLedger(), settings, Metrics(), clock)  # type: ignore[arg-type]
        self.leap = timedelta(0)  # of the ledger's clock

    def tick(self, seconds: float = 0.25, *, heartbeat_age: timedelta | None = DEAD) -> None:
        self.clock.now += seconds
        moment = self.clock.moment() + self.leap
        oldest = None if heartbeat_age is None else moment - heartbeat_age
        self.rescue.run(todo(moment, oldest_heartbeat=oldest))

    def tick_for(self, seconds: float, **given: Any) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.tick(**given)


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch) -> Beat:
    beat = Beat(Clock())

    def rescue(*_: object) -> dict[object, object]:
        beat.rescued_at.append(beat.clock.now)
        return {}

    monkeypatch.setattr(transitions, "rescue", rescue)
    monkeypatch.setattr(leases, "forget_dead", lambda *_: 0)
    return beat


def test_nothing_is_rescued_before_one_lease_has_passed_since_the_start(beat: Beat) -> None:
    beat.tick_for(LEASE - 0.5)
    assert beat.rescued_at == []

    beat.tick_for(1.0)
    assert beat.rescued_at


def test_living_workers_get_a_lease_to_renew_after_an_outage(beat: Beat) -> None:
    beat.tick_for(20.0)
    beat.rescued_at.clear()

    beat.tick(30.0)
    beat.tick_for(LEASE - 0.5)
    assert beat.rescued_at == []

    beat.tick_for(1.0)
    assert beat.rescued_at


def test_a_gap_that_cannot_age_a_living_worker_costs_nothing(beat: Beat) -> None:
    beat.tick_for(20.0)
    beat.rescued_at.clear()

    beat.tick(LEASE - HEARTBEAT - 0.1)

    assert beat.rescued_at == [beat.clock.now]


def test_a_ledger_whose_clock_leaps_ahead_makes_nobody_dead(beat: Beat) -> None:
    beat.tick_for(20.0)
    beat.rescued_at.clear()

    beat.leap = timedelta(minutes=1)
    beat.tick_for(LEASE - 0.5)

    assert beat.rescued_at == []


def test_while_every_lease_is_fresh_it_looks_only_once_a_lease(beat: Beat) -> None:
    beat.tick_for(LEASE + 1.0)
    beat.rescued_at.clear()

    beat.tick_for(4 * LEASE, heartbeat_age=timedelta(seconds=1))

    assert 3 <= len(beat.rescued_at) <= 4


def test_without_any_worker_it_still_looks(beat: Beat) -> None:
    beat.tick_for(LEASE + 1.0, heartbeat_age=None)

    assert beat.rescued_at


def test_a_lease_that_ran_out_is_seen_at_once(beat: Beat) -> None:
    beat.tick_for(LEASE + 1.0, heartbeat_age=timedelta(seconds=1))
    beat.rescued_at.clear()

    beat.tick(heartbeat_age=DEAD)

    assert beat.rescued_at == [beat.clock.now]
