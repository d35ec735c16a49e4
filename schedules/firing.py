"""Firing: a schedule's fire time comes, and exactly one job is enqueued, whatever the number of beats.

A beat claims the schedules that are due (`SKIP LOCKED`), notes their firings, makes the jobs and settles the
schedules in one transaction. So a beat that dies in the middle has done nothing, and of two that claim at
once neither finds what the other holds; a firing is unique besides.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Connection

from schedules.metrics import Metrics
from schedules.permissions import Permissions
from schedules.plan import Claimed, Plan
from worker.enqueue import Enqueuer, Refused, Submission
from worker.ledger import firings, schedules, transitions
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.firings import NewFiring
from worker.ledger.records import NewJob
from worker.ledger.schedules import Stored
from worker.scheduling import Definition, Schedule

BATCH = 250  # schedules that one transaction holds
MOST_FIRINGS = 1_000  # that one transaction notes, and those of one schedule more: it must end in time
_SLICE = 500  # jobs that one statement writes

_LATER = 10.0  # seconds for which a schedule is left alone that this beat cannot fire

_DEFINITIONS = msgspec.json.Decoder(Definition)


class Firing:
    """The part of a beat that fires schedules.

    Args:
        enqueuer: makes the jobs.
        ledger: where everything is.
        metrics: counts.
        operators: the kinds that only an operator's key may submit.
    """

    name = "firing"

    def __init__(
        self, enqueuer: Enqueuer, ledger: Ledger, metrics: Metrics, operators: frozenset[str] = frozenset()
    ) -> None:
        self._enqueuer = enqueuer
        self._ledger = ledger
        self._metrics = metrics
        self._operators = operators
        self._read = lru_cache(1_000)(_read)

    def run(self, todo: Agenda) -> bool:
        """Fire what is due by the ledger's clock."""
        if not todo.firing:
            return False
        with self._ledger.write() as connection:
            due = schedules.claim_due(connection, BATCH)
            plans = self._plans(connection, due) if due else []
            made = self._fire(connection, plans) if plans else []
        for plan, firing in made:
            self._tell(plan, firing, due[0][1])
        return len(due) == BATCH or sum(plan.size for plan in plans) >= MOST_FIRINGS

    def _fire(self, connection: Connection, plans: Sequence[Plan]) -> list[tuple[Plan, NewFiring]]:
        """Returns the firings that were noted."""
        noted = firings.record(connection, [new for plan in plans for new in plan.new])
        noted |= firings.release(connection, [ended for plan in plans for ended in plan.released])
        jobs = [job for plan in plans for made, job in plan.jobs.items() if made in noted]
        for start in range(0, len(jobs), _SLICE):
            transitions.enqueue(connection, jobs[start : start + _SLICE])
        for plan in plans:
            if plan.cancelled and not noted.isdisjoint(plan.jobs):
                actor = f"schedule {plan.stored.name}"
                transitions.cancel_all(connection, plan.cancelled, actor, plan.stored.client_id)
        schedules.settle(connection, [plan.settled for plan in plans])
        return [
            (plan, firing)
            for plan in plans
            for firing in (*plan.new, *plan.released)
            if (firing.schedule, firing.fire_at) in noted
        ]

    def _plans(self, connection: Connection, due: Sequence[tuple[Stored, datetime]]) -> list[Plan]:
        permissions = Permissions(connection, [stored for stored, _ in due], self._operators)

        def make(stored: Stored, wish: Submission) -> NewJob:
            permissions.require(stored, wish.kind)
            return self._enqueuer.prepare(wish, stored.client_id, request_id=None)

        plans: list[Plan] = []
        failed: list[UUID] = []
        size = 0
        for claimed in _with_what_goes_on(connection, list(self._readable(due, failed))):
            if size >= MOST_FIRINGS:
                break  # the others stay due
            try:
                plans.append(Plan.of(claimed, make))
                size += plans[-1].size
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one schedule, the others fire
                logger.opt(exception=error).error("schedule_failing", schedule=claimed.stored.name)
                failed.append(claimed.stored.id)
        schedules.put_off(connection, failed, _LATER)
        return plans

    def _readable(self, due: Sequence[tuple[Stored, datetime]], failed: list[UUID]) -> Iterator[Claimed]:
        """Those that this version can read; a later one may have written the others."""
        for stored, now in due:
            try:
                schedule = self._read(stored.name, stored.definition)
            except (msgspec.ValidationError, Refused) as error:
                logger.warning("schedule_unreadable", schedule=stored.name, error=str(error))
                failed.append(stored.id)
            else:
                yield Claimed(stored=stored, schedule=schedule, now=now)

    def _tell(self, plan: Plan, firing: NewFiring, now: datetime) -> None:
        stored = plan.stored
        # Labels must be few: files are, what clients save is not.
        label = stored.name if stored.from_file else ""
        told = {"schedule": stored.name, "fire_at": str(firing.fire_at)}
        if firing.job_id is not None:
            logger.info("fired", **told, job_id=str(firing.job_id))
            self._metrics.fired.labels(label).inc()
            self._metrics.accepted.labels(plan.jobs[firing.schedule, firing.fire_at].kind).inc()
            if firing not in plan.released:
                self._metrics.lateness.observe((now - firing.fire_at).total_seconds())
        elif firing.skipped is not None:
            logger.warning("firing_skipped", **told, reason=firing.skipped)
            self._metrics.skipped.labels(label).inc()


def _read(name: str, definition: str) -> Schedule:
    return Schedule.of(name, _DEFINITIONS.decode(definition))


def _with_what_goes_on(connection: Connection, claimed: Sequence[Claimed]) -> list[Claimed]:
    """With the firings that wait, and the jobs that live where the overlap policy asks for them."""
    waiting = firings.waiting(connection, [each.stored.key for each in claimed])
    asking = [each.stored.key for each in claimed if each.schedule.definition.overlap != "allow"]
    living = firings.living_jobs(connection, asking)
    return [
        msgspec.structs.replace(
            each, waiting=waiting.get(each.stored.key, ()), living=living.get(each.stored.key, ())
        )
        for each in claimed
    ]
