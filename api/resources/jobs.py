"""`/v1/jobs`: submitting a job, and listing one's jobs."""

from contextlib import nullcontext
from threading import Event
from typing import Annotated, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from api.acting import whose
from api.answers import answer, answer_accepted, answer_job
from api.applications import Request, Response
from api.bodies import decode, read_json
from api.filters import Wanted, listing
from api.follower import Follower
from api.gathering import Gatherer
from api.idempotency import IdempotencyKey, idempotency_key, pruned_is_conflict, remembered
from api.live_jobs import Cap
from api.metrics import Metrics
from api.preferences import applied, preferred_wait
from api.queries import page_start, page_token, query
from api.representations import Job, JobPage, ListedJob, job_path
from worker import enqueue
from worker.enqueue import Enqueuer, Refused, RefusedJobs, Standing, Submission
from worker.ledger import clients, jobs
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.records import Accepted, Message, NewJob
from worker.settings import Settings


class Publishing(Protocol):
    """What a submission asks of the publisher."""

    def reserve(self, name: str) -> bool:
        """Whether a message of this queue may be published; a yes is a promise to do so."""

    def publish(self, message: Message) -> None:
        """Publish a committed job's message soon."""


class JobQuery(Wanted, frozen=True, kw_only=True):
    """Which of the client's jobs to list."""

    page_size: Annotated[
        int, Meta(ge=1, le=200, description="Jobs a page; a page may hold fewer and not be the last.")
    ] = 50
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="`next_page_token` of the page before.")
    ] = None


class Jobs:
    """The jobs of a client.

    Args:
        settings: for the limits.
        enqueuer: validates.
        ledger: accepts, and lists.
        publisher: publishes behind the answer.
        follower: waits.
        metrics: counts.
        live_jobs: caps what a client has at once.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        enqueuer: Enqueuer,
        ledger: Ledger,
        publisher: Publishing,
        follower: Follower[Job],
        metrics: Metrics,
        live_jobs: Cap,
    ) -> None:
        self._settings = settings
        self._enqueuer = enqueuer
        self._ledger = ledger
        self._publisher = publisher
        self._follower = follower
        self._metrics = metrics
        self._live_jobs = live_jobs
        self._gatherer = Gatherer(ledger, live_jobs, settings.database_pool_timeout)
        self._decoder = msgspec.json.Decoder(Submission)

    def on_post(self, req: Request, resp: Response) -> None:
        """Accept a job: 202 once it is committed to the ledger, and not before.

        200, with the job that stands already, where another one holds its unique key.
        """
        body = read_json(req, self._settings.api_max_body)
        key = idempotency_key(req, body)
        seconds = preferred_wait(req, self._settings.api_max_wait)
        client: Client = req.context.client
        job = self._prepare(self._wish(body), client, req.context.request_id)
        # Expected before the commit: it could end before this request looks again.
        with self._follower.waiters.expect(job.id) if seconds else nullcontext() as ended:
            try:
                accepted = self._accept(job, key)
            except Standing as standing:
                answer_job(
                    req, resp, 200, self._follower.follow(standing.holders[job.id], client.id, seconds)
                )
                resp.content_location = job_path(standing.holders[job.id])
            else:
                if isinstance(accepted, UUID):
                    shown = self._earlier(accepted, client, seconds)
                else:
                    shown = self._followed(job, accepted, ended, seconds)
                answer_accepted(req, resp, shown)
        if seconds:
            applied(resp, seconds)

    def on_get(self, req: Request, resp: Response) -> None:
        """List the client's jobs, newest first."""
        asked = query(req, JobQuery)
        wanted = asked.of(whose(self._ledger, req.context.client, asked.client))
        before = page_start(asked.page_token) if asked.page_token is not None else None
        with listing(), self._ledger.read() as connection:
            found = jobs.page(connection, wanted, asked.page_size, before)
            names = {}
            if wanted.client_id != req.context.client.id:
                names = clients.names_of(connection, {row.client_id for row in found.rows})
        more = None if found.before is None else page_token(found.before)
        shown = [ListedJob.of_row(row, names.get(row.client_id)) for row in found.rows]
        answer(resp, 200, JobPage(shown, more))

    on_head = on_get

    def _wish(self, body: bytes) -> Submission:
        try:
            return decode(body, self._decoder)
        except Refused as refused:
            if not body.lstrip().startswith(b"["):
                raise
            raise Refused("", f"{refused.reason}; a list of jobs goes to POST /v1/batches") from None

    def _prepare(self, submission: Submission, client: Client, request_id: str) -> NewJob:
        job = self._enqueuer.prepare(submission, client.id, request_id, rights=client.rights)
        if job.scheduled_at is None and not job.after and self._publisher.reserve(job.queue):
            return msgspec.structs.replace(job, published=True)
        return job

    def _accept(self, job: NewJob, key: IdempotencyKey | None) -> Accepted | UUID:
        """Commit the job; where its key stands for an earlier one, the id of that."""
        together = self._gatherer.accept(job, key) if self._gatherer.takes(job) else None
        accepted = together or self._accept_alone(job, key)
        if isinstance(accepted, UUID):
            return accepted
        if job.published:
            self._publisher.publish(enqueue.message_of(job))
        self._metrics.accepted.labels(job.kind).inc()
        return accepted

    def _accept_alone(self, job: NewJob, key: IdempotencyKey | None) -> Accepted | UUID:
        try:
            with self._live_jobs.admission() as admit, self._ledger.write() as connection:
                if key is not None and (earlier := remembered(connection, job.client_id, key, job.id)):
                    return earlier
                return enqueue.accept(connection, self._enqueuer.payloads, job.client_id, [job], admit)[
                    job.id
                ]
        except RefusedJobs as refused:
            raise refused.problems[0] from None

    def _followed(self, job: NewJob, accepted: Accepted, ended: Event | None, seconds: int) -> Job:
        shown = Job.of_new(job, accepted)
        if ended is None:
            return shown
        return self._follower.follow_accepted(shown, ended, seconds, job.id, job.client_id)

    def _earlier(self, job_id: UUID, client: Client, seconds: int) -> Job:
        with pruned_is_conflict("job"):
            return self._follower.follow(job_id, client.id, seconds)
