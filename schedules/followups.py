"""What follows from the end of a job: others begin or fail, a batch is over, and a client is told of it."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from loguru import logger
from sqlalchemy import Connection

from schedules.metrics import Metrics
from worker.contract.states import State
from worker.enqueue import Enqueuer, Refused, enqueue, submission
from worker.ledger import batches, followups, jobs
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.followups import Taken
from worker.notices import Notices

BATCH = 500
CALLBACK = "webhook.deliver"  # the kind that tells a client


class FollowUps:
    """The part that settles the ends of followed jobs, each in one transaction with what follows from it."""

    name = "follow-ups"

    def __init__(self, ledger: Ledger, enqueuer: Enqueuer, metrics: Metrics, notices: Notices) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._metrics = metrics
        self._notices = notices

    def run(self, todo: Agenda) -> bool:
        """Settle a batch of them."""
        if not todo.ended:
            return False
        with self._ledger.write() as connection:
            taken = followups.take(connection, BATCH)
            failed, finished = self._settle(connection, taken)
            kinds = jobs.kinds_of(connection, failed)
        if failed or finished:
            self._notices.ended(failed + finished)
        self._metrics.finished(kinds, State.FAILED)
        self._metrics.followed_up.inc(taken.count)
        return taken.count == BATCH

    def _settle(self, connection: Connection, taken: Taken) -> tuple[list[UUID], list[UUID]]:
        """Returns the jobs that fail with those that ended, and the batches that are over."""
        ended = taken.ended
        followups.release(connection, [job.id for job in ended if job.state is State.SUCCEEDED])
        failed = followups.fail_dependents(connection, _reasons(taken))
        for job in ended:
            if job.callback is not None and job.tell:
                about = {"job": job.id, "finished_at": job.finished_at}
                self._tell(connection, job.client_id, about, job.request_id)
        return failed, self._finish_batches(
            connection, {job.batch_id for job in ended if job.batch_id is not None}
        )

    def _finish_batches(self, connection: Connection, ids: Iterable[UUID]) -> list[UUID]:
        finished = batches.finish(connection, sorted(ids))
        for batch in finished:
            if batch["callback"] is not None:
                self._tell(connection, batch["client_id"], {"batch": batch["id"]}, None)
        return [batch["id"] for batch in finished]

    def _tell(
        self, connection: Connection, client_id: UUID, about: Mapping[str, object], request_id: str | None
    ) -> None:
        try:
            job = self._enqueuer.prepare(submission(CALLBACK, about), client_id, request_id)
        except Refused as refused:  # else nothing that follows from any end would ever be done
            logger.error("callback_refused", reason=refused.reason, **about)
        else:
            enqueue(connection, job)
            self._metrics.accepted.labels(job.kind).inc()


def _reasons(taken: Taken) -> dict[UUID, str]:
    """What became of those that did not succeed, in words for whoever waited for them."""
    ended = {
        job.id: f"the job {job.id} ({job.kind}), which had to succeed before this one, is {job.state}"
        for job in taken.ended
        if job.state is not State.SUCCEEDED
    }
    gone = {id_: f"the job {id_}, which had to succeed before this one, was pruned" for id_ in taken.gone}
    return ended | gone
