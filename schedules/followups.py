"""What follows from the end of a job: others begin or fail, a batch is over, and a client is told of it."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Connection

from schedules.metrics import Metrics
from worker.contract.states import State
from worker.enqueue import Enqueuer, enqueue, submission
from worker.ledger import batches, followups
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.followups import Ended

BATCH = 500
CALLBACK = "webhook.deliver"  # the kind that tells a client


class FollowUps:
    """The part that settles the ends of followed jobs, each in one transaction with what follows from it."""

    name = "follow-ups"

    def __init__(self, ledger: Ledger, enqueuer: Enqueuer, metrics: Metrics) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._metrics = metrics

    def run(self, todo: Agenda) -> bool:
        """Settle a batch of them."""
        if not todo.ended:
            return False
        with self._ledger.write() as connection:
            count, ended = followups.take(connection, BATCH)
            self._settle(connection, ended)
        self._metrics.followed_up.inc(count)
        return count == BATCH

    def _settle(self, connection: Connection, ended: Sequence[Ended]) -> None:
        succeeded = [job.id for job in ended if job.state is State.SUCCEEDED]
        followups.release(connection, succeeded)
        followups.fail_dependents(connection, [job.id for job in ended if job.state is not State.SUCCEEDED])
        for job in ended:
            if job.callback is not None:
                self._tell(connection, job.client_id, {"job": str(job.id)}, job.request_id)
        self._finish_batches(connection, {job.batch_id for job in ended if job.batch_id is not None})

    def _finish_batches(self, connection: Connection, ids: Iterable[UUID]) -> None:
        for batch in batches.finish(connection, sorted(ids)):
            if batch["callback"] is not None:
                self._tell(connection, batch["client_id"], {"batch": str(batch["id"])}, None)

    def _tell(
        self, connection: Connection, client_id: UUID, about: dict[str, str], request_id: str | None
    ) -> None:
        job = self._enqueuer.prepare(submission(CALLBACK, about), client_id, request_id)
        enqueue(connection, job)
