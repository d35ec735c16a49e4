"""A plan: what one schedule's turn comes to, before anything of it is written to the ledger."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schedules.turn import MISSED, Turn, turn
from worker.enqueue import Refused, Submission
from worker.ledger.firings import NewFiring, Occurrence
from worker.ledger.records import NewJob
from worker.ledger.schedules import Settled, Stored
from worker.scheduling import Schedule

_LOOK = timedelta(seconds=1)  # between two looks for the end of a job that a firing waits for

Make = Callable[[Stored, Submission], NewJob]  # raises Refused where the job cannot be accepted


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule in a beat's hands."""

    stored: Stored
    schedule: Schedule
    now: datetime  # by the ledger's clock
    waiting: Sequence[datetime] = ()  # firings that wait, oldest first
    living: Sequence[UUID] = ()  # jobs of earlier firings that have not ended


class Plan(msgspec.Struct, kw_only=True):
    """What is to be written of a schedule."""

    stored: Stored
    settled: Settled
    new: list[NewFiring] = []
    released: list[NewFiring] = []  # that wait no more
    jobs: dict[Occurrence, NewJob] = {}
    cancelled: Sequence[UUID] = ()

    @property
    def size(self) -> int:
        """How many firings are written."""
        return len(self.new) + len(self.released)

    @classmethod
    def of(cls, claimed: Claimed, make: Make) -> "Plan":
        """Decide, and make the jobs.

        Args:
            claimed: the schedule.
            make: a job of a submission.
        """
        due = claimed.schedule.due(claimed.stored.fired_until, claimed.now)
        definition = claimed.schedule.definition
        decided = turn(
            definition.overlap, due.times, claimed.waiting, definition.limit, living=bool(claimed.living)
        )
        plan = cls(stored=claimed.stored, settled=_settled(claimed, waits=bool(decided.wait)))
        for firing in plan._firings(claimed, decided, make):
            if firing.fire_at not in claimed.waiting:
                plan.new.append(firing)
            elif firing.job_id or firing.skipped:
                plan.released.append(firing)
        if due.missed is not None:
            plan.new.append(_skipped(claimed, due.missed, MISSED))
        if decided.replaces and plan.jobs:
            plan.cancelled = claimed.living
        return plan

    def _firings(self, claimed: Claimed, decided: Turn, make: Make) -> Iterator[NewFiring]:
        key = claimed.stored.key
        for fire_at in decided.fire:
            try:
                job = make(claimed.stored, claimed.schedule.job_at(fire_at))
            except Refused as refused:
                yield _skipped(claimed, fire_at, str(refused))
            else:
                self.jobs[key, fire_at] = job
                yield NewFiring(schedule=key, fire_at=fire_at, job_id=job.id)
        for fire_at in decided.wait:
            yield NewFiring(schedule=key, fire_at=fire_at)
        for fire_at in decided.skip:
            yield _skipped(claimed, fire_at, decided.reason)


def _skipped(claimed: Claimed, fire_at: datetime, reason: str) -> NewFiring:
    return NewFiring(schedule=claimed.stored.key, fire_at=fire_at, skipped=reason)


def _settled(claimed: Claimed, *, waits: bool) -> Settled:
    next_fire_at = claimed.schedule.next(claimed.now)
    looks = [moment for moment in (next_fire_at, claimed.now + _LOOK if waits else None) if moment]
    return Settled(
        id=claimed.stored.id, until=claimed.now, next_fire_at=next_fire_at, due_at=min(looks, default=None)
    )
