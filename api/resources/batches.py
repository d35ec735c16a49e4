"""`/v1/batches`: submitting many jobs at once, and watching and cancelling them as one."""

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import nullcontext
from http import HTTPStatus
from threading import Event
from uuid import UUID

import msgspec

from api.acting import act_on_all
from api.answers import answer, retry_after, revalidate
from api.applications import Request, Response
from api.batch_lister import BatchLister, BatchQuery
from api.batch_reader import find_batch, parse_batch_id
from api.batching import BatchSubmission, Prepared, prepare, refusal
from api.bodies import JSON, NDJSON, chunks, decode, media_type
from api.cooperation import breathe
from api.counting import MOST_JOBS, require_few, too_many
from api.errors import Problem
from api.follower import Follower
from api.idempotency import IdempotencyKey, idempotency_key, pruned_is_conflict, remembered
from api.lines import jobs_in, numbered
from api.live_jobs import Cap
from api.metrics import Metrics
from api.preferences import applied, preferred_wait
from api.queries import query
from api.representations import AcceptedBatch, Batch, batch_path
from api.resources.jobs import Publishing
from worker.contract.scopes import Scope
from worker.contract.states import FINAL
from worker.enqueue import Enqueuer, Refused, RefusedJobs, Standing, accept, message_of
from worker.ledger import batches, transitions
from worker.ledger.batches import NewBatch
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.ids import new_id
from worker.ledger.records import Accepted, NewJob
from worker.settings import Settings

_SLICE = 500  # jobs that one transaction cancels
_FEW = 200  # jobs of a batch that this process publishes itself: more would keep its other requests waiting

_BATCHES = msgspec.json.Decoder(BatchSubmission)


class Batches:
    """The batches of a client.

    Args:
        settings: for the limits.
        enqueuer: validates.
        ledger: accepts, and lists.
        publisher: publishes a small batch behind the answer.
        short: kinds whose jobs are left to the beat, which bundles them.
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
        short: Collection[str],
        follower: Follower[Batch],
        metrics: Metrics,
        live_jobs: Cap,
    ) -> None:
        self._settings = settings
        self._enqueuer = enqueuer
        self._ledger = ledger
        self._publisher = publisher
        self._short = frozenset(short)
        self._lister = BatchLister(ledger)
        self._follower = follower
        self._metrics = metrics
        self._live_jobs = live_jobs

    def on_post(self, req: Request, resp: Response) -> None:
        """Accept all jobs of a batch in one transaction, or none."""
        body, wish = self._read(req)
        with numbered(body, wish.jobs) if media_type(req) == NDJSON else nullcontext():
            self._submit(req, resp, body, wish)

    def _submit(self, req: Request, resp: Response, body: bytes, wish: BatchSubmission) -> None:
        key = idempotency_key(req, body)
        seconds = preferred_wait(req, self._settings.api_max_wait)
        client: Client = req.context.client
        batch = NewBatch(
            id=new_id(),
            client_id=client.id,
            size=len(wish.jobs),
            callback=self._enqueuer.checked_callback(wish.callback),
            tags=wish.tags,
        )
        prepared = prepare(
            wish.jobs,
            self._enqueuer,
            client,
            request_id=req.context.request_id,
            batch_id=batch.id,
            largest=self._settings.api_max_body,
        )
        # Expected before the commit: it could end before this request looks again.
        with self._follower.waiters.expect(batch.id) if seconds else nullcontext() as ended:
            accepted = self._accept(batch, self._reserved(prepared.jobs), key)
            if isinstance(accepted, UUID):
                shown = self._earlier(accepted, prepared, client, seconds)
            else:
                followed = self._followed(batch, prepared.jobs, accepted, ended, seconds)
                ids = [job.id for job in prepared.jobs]
                shown = AcceptedBatch.of_batch(followed, ids, prepared.names)
        _answer(req, resp, 202, shown)
        resp.location = batch_path(shown.id)
        if seconds:
            applied(resp, seconds)

    def on_get(self, req: Request, resp: Response) -> None:
        """List the client's batches, newest first."""
        answer(resp, 200, self._lister.page(query(req, BatchQuery), req.context.client))

    on_head = on_get

    def _read(self, req: Request) -> tuple[bytes, BatchSubmission]:
        """The body, and what it asks for; a line of NDJSON is a job.

        Raises:
            Problem: it is neither, or too large.
        """
        if media_type(req) not in {JSON, NDJSON}:
            raise Problem(415, f"send a batch as {JSON}, or its jobs alone, one a line, as {NDJSON}")
        body = b"".join(chunks(req, self._settings.api_max_batch))
        if media_type(req) == JSON:
            return body, _batch_in(body)
        require_few(body, lines=True)
        jobs = jobs_in(body)
        if not 1 <= len(jobs) <= MOST_JOBS:
            raise too_many(len(jobs))
        return body, BatchSubmission(jobs=jobs)

    def _reserved(self, jobs: list[NewJob]) -> list[NewJob]:
        """The same, with a mark where this process is to publish them; the beat dispatches the others."""
        if len(jobs) > _FEW:
            return jobs
        return [msgspec.structs.replace(job, published=self._reserve(job)) for job in jobs]

    def _reserve(self, job: NewJob) -> bool:
        waits = job.scheduled_at is not None or bool(job.after)
        return not waits and job.kind not in self._short and self._publisher.reserve(job.queue)

    def _accept(
        self, batch: NewBatch, jobs: list[NewJob], key: IdempotencyKey | None
    ) -> Mapping[UUID, Accepted] | UUID:
        """Commit the batch; where its key stands for an earlier one, the id of that."""
        try:
            with self._live_jobs.admission() as admit, self._ledger.write() as connection:
                if key is not None and (earlier := remembered(connection, batch.client_id, key, batch.id)):
                    return earlier
                batches.add(connection, batch)
                accepted = accept(
                    connection, self._enqueuer.payloads, batch.client_id, jobs, admit, breathe=breathe
                )
        except RefusedJobs as refused:
            problems = refused.problems
        except Standing as standing:
            problems = {
                place: Refused("unique_key", f"the job {standing.holders[job.id]} holds it")
                for place, job in enumerate(jobs)
                if job.id in standing.holders
            }
        else:
            for job in jobs:
                if job.published:
                    self._publisher.publish(message_of(job))
            for kind, count in Counter(job.kind for job in jobs).items():
                self._metrics.accepted.labels(kind).inc(count)
            return accepted
        raise refusal(problems)

    def _followed(
        self,
        batch: NewBatch,
        jobs: Collection[NewJob],
        accepted: Mapping[UUID, Accepted],
        ended: Event | None,
        seconds: int,
    ) -> Batch:
        shown = Batch.of_new(batch, jobs, accepted)
        if ended is None:
            return shown
        return self._follower.follow_accepted(shown, ended, seconds, batch.id, batch.client_id)

    def _earlier(self, batch_id: UUID, prepared: Prepared, client: Client, seconds: int) -> AcceptedBatch:
        with pruned_is_conflict("batch"):
            shown = self._follower.follow(batch_id, client.id, seconds)
        with self._ledger.write() as connection:
            ids = batches.job_ids(connection, batch_id)
        # The same request has the same places, unless some of its jobs were pruned.
        names = prepared.names if len(ids) == shown.size else {}
        return AcceptedBatch.of_batch(shown, ids, names)


class OneBatch:
    """A batch.

    Args:
        follower: reads it, now or when it ended.
        longest_wait: seconds that `Prefer: wait` may last.
    """

    def __init__(self, follower: Follower[Batch], longest_wait: float) -> None:
        self._follower = follower
        self._longest_wait = longest_wait

    def on_get(self, req: Request, resp: Response, batch_id: str) -> None:
        """Read it, at once or when all of its jobs have ended."""
        seconds = preferred_wait(req, self._longest_wait)
        wanted, reach = parse_batch_id(batch_id), req.context.client.reach
        _answer(req, resp, 200, self._follower.follow(wanted, reach, seconds))
        revalidate(req, resp)
        if seconds:
            applied(resp, seconds)

    on_head = on_get


class CancelBatch:
    """The cancelling of a batch.

    Args:
        ledger: cancels.
        follower: reads it, and its waiters learn of it at once.
    """

    def __init__(self, ledger: Ledger, follower: Follower[Batch]) -> None:
        self._ledger = ledger
        self._follower = follower

    def on_post(self, req: Request, resp: Response, batch_id: str) -> None:
        """Cancel what has not ended: 200 where all has by then, 202 where some job still runs."""
        client: Client = req.context.client
        wanted = parse_batch_id(batch_id)
        with self._ledger.write() as connection:
            owner_id = find_batch(connection, wanted, client.reach)["client_id"]
        while self._cancel_some(wanted, client, owner_id):
            breathe()
        shown = self._follower.follow(wanted, client.reach, 0)
        _answer(req, resp, 200 if shown.done else 202, shown)

    def _cancel_some(self, batch_id: UUID, client: Client, owner_id: UUID) -> bool:
        with self._ledger.write() as connection:
            ids = batches.cancellable(connection, batch_id, _SLICE)
            cancelled = act_on_all(
                connection,
                transitions.cancel_all,
                "batch.cancel",
                ids,
                subject=str(batch_id),
                client=client,
                owner_id=owner_id,
            )
        self._follower.waiters.wake(str(id_) for id_, state in cancelled.items() if state in FINAL)
        return bool(cancelled)


def _batch_in(body: bytes) -> BatchSubmission:
    try:
        require_few(body, lines=False)
        return decode(body, _BATCHES)
    except Refused as refused:
        if not body.lstrip().startswith(b"["):
            raise
        raise Refused("", f'{refused.reason}; send the list as {{"jobs": [...]}}') from None
    except Problem as problem:
        if problem.status_code == HTTPStatus.BAD_REQUEST and b"\n{" in body:
            problem.description = f"{problem.description}; jobs alone, one a line, are {NDJSON}"
        raise


def _answer(req: Request, resp: Response, status: int, batch: Batch) -> None:
    client: Client = req.context.client
    if not client.scopes.allow(Scope.READ):
        batch = msgspec.structs.replace(batch, callback=None)
    answer(resp, status, batch)
    if not batch.done:
        resp.set_header("Retry-After", retry_after(batch.due_at))
