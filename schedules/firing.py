"""Firing: a schedule's fire time comes, and exactly one job is enqueued, whatever the number of beats."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from loguru import logger
from sqlalchemy import Connection

from schedules.metrics import Metrics
from schedules.schedule import BATCH, Schedule
from worker.enqueue import Enqueuer, enqueue
from worker.ledger import clients, firings
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger

CLIENT = "schedules"  # owns the jobs that schedules make

# So often a schedule is settled although it does not fire: when its file changes, at most so much of the
# past counts as missed under the new rule.
SETTLE = timedelta(minutes=1)

Fired = tuple[datetime, UUID]  # when, and the job


class Firing:
    """The part of a beat that fires one schedule."""

    def __init__(self, schedule: Schedule, enqueuer: Enqueuer, ledger: Ledger, metrics: Metrics) -> None:
        self.name = f"schedule {schedule.name}"
        self._schedule = schedule
        self._enqueuer = enqueuer
        self._ledger = ledger
        self._metrics = metrics
        self._look_at = datetime.min.replace(tzinfo=UTC)

    def run(self, todo: Agenda) -> bool:
        """Fire what is due by the ledger's clock."""
        if todo.moment < self._look_at:
            return False
        with self._ledger.write() as connection:
            fired, settled, now = self._fire(connection)
        for fire_at, job_id in fired:
            logger.info("fired", schedule=self._schedule.name, fire_at=str(fire_at), job_id=str(job_id))
        self._metrics.fired.labels(self._schedule.name).inc(len(fired))
        self._look_at = min(self._schedule.next(settled), now + SETTLE)
        return settled < now

    def _fire(self, connection: Connection) -> tuple[list[Fired], datetime, datetime]:
        """Returns what was fired, until when the schedule is settled, and the ledger's time."""
        # Locks the schedule's row: of several beats one fires, and the next one finds it settled.
        settled, now = firings.settled_until(connection, self._schedule.name)
        due = self._schedule.due(settled, now)
        fired = [(fire_at, self._enqueue(connection, fire_at)) for fire_at in due]
        until = due[-1] if len(due) == BATCH else now
        firings.settle(connection, self._schedule.name, until)
        return [(fire_at, job_id) for fire_at, job_id in fired if job_id], until, now

    def _enqueue(self, connection: Connection, fire_at: datetime) -> UUID | None:
        client = clients.ensure_client(connection, CLIENT)
        submission = msgspec.structs.replace(self._schedule.submission, scheduled_at=fire_at)
        job = self._enqueuer.prepare(submission, client.id, request_id=None)
        if not firings.record_firing(connection, self._schedule.name, fire_at, job.id):
            return None
        enqueue(connection, job)
        return job.id
