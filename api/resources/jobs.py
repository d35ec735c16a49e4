"""`/v1/jobs`: submitting a job, and listing one's jobs."""

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Event
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec
from loguru import logger
from msgspec import Meta
from psycopg2.errors import QueryCanceled
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.acting import whose
from api.answers import answer, answer_accepted
from api.applications import Request, Response
from api.bodies import decode, read_json
from api.errors import Problem
from api.follower import Follower
from api.idempotency import IdempotencyKey, idempotency_key, reused
from api.live_jobs import LiveJobs
from api.metrics import Metrics
from api.preferences import applied, preferred_wait
from api.queries import page_start, page_token, query
from api.representations import Job, JobPage, ListedJob
from worker import enqueue
from worker.contract.states import State
from worker.enqueue import Enqueuer, Submission, Tag
from worker.ledger import idempotency, jobs
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.records import Accepted, Message, NewJob
from worker.settings import Settings

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]


class Publishing(Protocol):
    """What a submission asks of the publisher."""

    def reserve(self, name: str) -> bool:
        """Whether a message of this queue may be published; a yes is a promise to do so."""

    def publish(self, message: Message) -> None:
        """Publish a committed job's message soon."""


class JobQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of the client's jobs to list."""

    state: Annotated[State | None, Meta(description="Only jobs in this state.")] = None
    kind: Annotated[Name | None, Meta(description="Only jobs of this kind.")] = None
    queue: Annotated[Name | None, Meta(description="Only jobs of this queue.")] = None
    tag: Annotated[Tag | None, Meta(description="Only jobs that carry this tag.")] = None
    client: Annotated[
        Annotated[str, Meta(pattern=r"^(\*|[A-Za-z0-9._-]{1,63})$")] | None,
        Meta(description="Whose jobs, by the client's name, or `*` for everybody's: keys with `operate`."),
    ] = None
    page_size: Annotated[int, Meta(ge=1, le=200, description="Jobs a page.")] = 50
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
        live_jobs: caps what a client has at once; None: nothing does.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        enqueuer: Enqueuer,
        ledger: Ledger,
        publisher: Publishing,
        follower: Follower,
        metrics: Metrics,
        live_jobs: LiveJobs | None = None,
    ) -> None:
        self._settings = settings
        self._enqueuer = enqueuer
        self._ledger = ledger
        self._publisher = publisher
        self._follower = follower
        self._metrics = metrics
        self._live_jobs = live_jobs
        self._decoder = msgspec.json.Decoder(Submission)

    def on_post(self, req: Request, resp: Response) -> None:
        """Accept a job: 202 once it is committed to the ledger, and not before."""
        body = read_json(req, self._settings.api_max_body)
        key = idempotency_key(req, body)
        seconds = preferred_wait(req, self._settings.api_max_wait)
        client: Client = req.context.client
        job = self._prepare(decode(body, self._decoder), client, req.context.request_id)
        # Expected before the commit: it could end before this request looks again.
        with self._follower.waiters.expect(job.id) if seconds else nullcontext() as ended:
            accepted = self._accept(job, key)
            if isinstance(accepted, UUID):
                shown = self._earlier(accepted, client, seconds)
            else:
                shown = self._followed(job, accepted, ended, seconds)
        answer_accepted(resp, shown)
        if seconds:
            applied(resp, seconds)

    def on_get(self, req: Request, resp: Response) -> None:
        """List the client's jobs, newest first."""
        asked = query(req, JobQuery)
        wanted = jobs.JobFilter(
            client_id=whose(self._ledger, req.context.client, asked.client),
            state=asked.state,
            kind=asked.kind,
            queue=asked.queue,
            tag=asked.tag,
        )
        before = page_start(asked.page_token) if asked.page_token is not None else None
        rows = self._page(wanted, asked.page_size + 1, before)
        page = [ListedJob.of_row(row) for row in rows[: asked.page_size]]
        more = page_token(page[-1].id) if len(rows) > len(page) else None
        answer(resp, 200, JobPage(page, more))

    on_head = on_get

    def _page(self, wanted: jobs.JobFilter, size: int, before: UUID | None) -> Sequence[Row[Any]]:
        try:
            with self._ledger.read() as connection:
                return jobs.page(connection, wanted, size, before)
        except DBAPIError as error:
            if isinstance(error.orig, QueryCanceled):
                raise Problem(
                    503,
                    "too many jobs had to be looked at for this filter; ask for fewer at once",
                    code="list-too-slow",
                ) from error
            raise

    def _prepare(self, submission: Submission, client: Client, request_id: str) -> NewJob:
        job = self._enqueuer.prepare(submission, client.id, request_id, rights=client.rights)
        if job.scheduled_at is None and self._publisher.reserve(job.queue):
            return msgspec.structs.replace(job, published=True)
        return job

    def _accept(self, job: NewJob, key: IdempotencyKey | None) -> Accepted | UUID:
        """Commit the job; where its key stands for an earlier one, the id of that."""
        with self._ledger.write() as connection:
            if key is not None:
                earlier = idempotency.remember(connection, job.client_id, key.key, key.fingerprint, job.id)
                if earlier is not None:
                    if earlier.fingerprint != key.fingerprint:
                        raise reused()
                    return earlier.job_id
            if self._live_jobs is not None:
                self._live_jobs.admit(job.client_id)
            accepted = enqueue.enqueue(connection, job)
        if job.published:
            self._publisher.publish(enqueue.message_of(job))
        self._metrics.accepted.labels(job.kind).inc()
        return accepted

    def _followed(self, job: NewJob, accepted: Accepted, ended: Event | None, seconds: int) -> Job:
        if ended is None:
            return Job.of_new(job, accepted)
        try:
            return self._follower.read_after(ended, seconds, job.id, job.client_id)
        except SQLAlchemyError as error:
            # It is accepted, whatever became of the ledger since; a client told otherwise submits it again.
            logger.warning("accepted_job_not_read", error=type(error).__name__)
            return Job.of_new(job, accepted)

    def _earlier(self, job_id: UUID, client: Client, seconds: int) -> Job:
        try:
            return self._follower.follow(job_id, client.id, seconds)
        except Problem as problem:
            raise Problem(
                409, "this Idempotency-Key stands for a job that was pruned since; take a new key"
            ) from problem
