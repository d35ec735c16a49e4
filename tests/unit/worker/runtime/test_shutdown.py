"""A worker that was told to stop, with a lease and an exit that a test plays."""

import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy.exc import OperationalError

from tests.awaiting import eventually
from worker.runtime import shutdown
from worker.runtime.lease import LeaseKeeper
from worker.runtime.shutdown import Stopper


class Lease:
    """Writes down what happened, in its order."""

    def __init__(self) -> None:
        self.happened: list[Any] = []
        self.away = False

    def release(self, ids: Collection[UUID]) -> None:
        self.happened.append(("released", set(ids)))
        self._may_fail()

    def fall_silent(self) -> None:
        self.happened.append("silent")

    def end(self, delay: float) -> int:
        self.happened.append(("ended", delay))
        self._may_fail()
        return 0

    def _may_fail(self) -> None:
        if self.away:
            raise OperationalError("statement", {}, Exception("away"))


class Worker:
    """A stopper with all that it asks for."""

    def __init__(self, *, grace: float, forked: bool) -> None:
        self.lease = Lease()
        self.unclaimed: set[UUID] = set()
        self.hopeless = False
        self.stopper = Stopper(
            grace=grace,
            lease=cast("LeaseKeeper", self.lease),
            unclaimed=lambda: self.unclaimed,
            hopeless=lambda: self.hopeless,
            forked=forked,
        )
        self.stopper.start()

    @property
    def happened(self) -> list[Any]:
        return self.lease.happened


Make = Callable[..., Worker]


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    statuses: list[int] = []
    monkeypatch.setattr(shutdown.os, "_exit", statuses.append)  # type: ignore[attr-defined]
    return statuses


@pytest.fixture
def make(exits: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Make workers; their children are killed by name only."""
    made: list[Worker] = []
    assert exits == []
    before = threading.active_count()

    def worker(*, grace: float = 60.0, forked: bool = False) -> Worker:
        made.append(Worker(grace=grace, forked=forked))
        monkeypatch.setattr(shutdown, "_kill_children", lambda: made[-1].happened.append("killed"))
        return made[-1]

    monkeypatch.setattr(shutdown, "_LOOK_EVERY", 0.01)
    yield worker
    for each in made:
        each.stopper.begin()
        each.stopper._over.ring()
    eventually(lambda: threading.active_count() == before)


def test_what_was_not_claimed_is_released_at_once(make: Make) -> None:
    worker = make()
    worker.unclaimed = {uuid4(), uuid4()}
    worker.stopper.begin()
    eventually(lambda: worker.happened == [("released", worker.unclaimed)])


def test_the_lease_ends_with_the_pool(make: Make, exits: list[int]) -> None:
    worker = make()
    worker.stopper.begin()
    worker.stopper.finish()
    assert worker.happened == [("ended", 0.0)]
    assert exits == []


def test_what_was_turned_away_meanwhile_is_released_with_the_end(make: Make) -> None:
    worker = make()
    first, second = uuid4(), uuid4()
    worker.unclaimed = {first}
    worker.stopper.begin()
    eventually(lambda: worker.happened)
    worker.unclaimed = {first, second}
    worker.stopper.finish()
    assert worker.happened == [("released", {first}), ("released", {second}), ("ended", 0.0)]


def test_children_are_killed_when_the_grace_is_over_and_their_jobs_handed_back(
    make: Make, exits: list[int]
) -> None:
    worker = make(grace=0.05, forked=True)
    worker.stopper.begin()
    eventually(lambda: exits == [0])
    # Silent first: a child that was killed on purpose is no loss.
    assert worker.happened == ["silent", "killed", ("ended", 0.0)]


def test_jobs_of_threads_are_handed_back_for_later(make: Make, exits: list[int]) -> None:
    """A thread cannot be killed: it may go on for the moment until the process is gone."""
    worker = make(grace=0.05)
    worker.stopper.begin()
    eventually(lambda: exits == [0])
    assert worker.happened == ["silent", ("ended", 2.0)]


def test_nobody_waits_for_handlers_past_their_deadline(make: Make, exits: list[int]) -> None:
    worker = make(grace=60.0)
    worker.hopeless = True
    worker.stopper.begin()
    eventually(lambda: exits == [0])


def test_a_ledger_that_is_away_does_not_keep_a_worker(make: Make, exits: list[int]) -> None:
    worker = make(grace=0.05)
    worker.lease.away = True
    worker.unclaimed = {uuid4()}
    worker.stopper.begin()
    eventually(lambda: exits == [0])
    worker.stopper.finish()


def test_a_worker_that_was_not_told_to_stop_goes_on(make: Make, exits: list[int]) -> None:
    worker = make(grace=0.0)
    worker.hopeless = True
    assert not worker.stopper._over.wait(0.1)
    assert (worker.happened, exits) == ([], [])
