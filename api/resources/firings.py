"""`/v1/schedules/{schedule_id}/firings` and `/run`: what a schedule fired, and firing it by hand."""

from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from api.answers import answer, answer_accepted
from api.applications import Request, Response
from api.errors import invalid
from api.idempotency import idempotency_key, pruned_is_conflict, remembered
from api.job_reader import read_job
from api.live_jobs import Cap
from api.metrics import Metrics
from api.queries import page_start, page_token, query
from api.representations import Job
from api.schedule_view import FiringPage, FiringView
from api.scheduling import find_schedule, note_act, schedule_of
from worker.enqueue import Enqueuer, Refused, enqueue
from worker.ledger import firings, schedules
from worker.ledger.clients import Client
from worker.ledger.engines import Ledger
from worker.ledger.firings import NewFiring
from worker.ledger.records import NewJob
from worker.ledger.schedules import Stored

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class FiringQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which firings to list."""

    page_size: Annotated[int, Meta(ge=1, le=200, description="Firings a page.")] = 50
    page_token: Annotated[
        Annotated[str, Meta(max_length=100)] | None, Meta(description="`next_page_token` of the page before.")
    ] = None


class Firings:
    """The firings of a schedule, kept as long as jobs are."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def on_get(self, req: Request, resp: Response, schedule_id: str) -> None:
        """List them with their jobs, newest first."""
        asked = query(req, FiringQuery)
        before = _moment(page_start(asked.page_token)) if asked.page_token is not None else None
        with self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, req.context.client)
            found = firings.page(connection, stored.key, asked.page_size + 1, before)
        shown = found[: asked.page_size]
        more = page_token(_place(shown[-1].fire_at)) if len(found) > len(shown) else None
        answer(resp, 200, FiringPage([FiringView.of(fired) for fired in shown], more))

    on_head = on_get


class Run:
    """The firing of a schedule by hand.

    Args:
        ledger: accepts the job; a beat dispatches it.
        enqueuer: checks it.
        live_jobs: caps what a client has at once.
        metrics: counts.
    """

    def __init__(self, ledger: Ledger, enqueuer: Enqueuer, live_jobs: Cap, metrics: Metrics) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._live_jobs = live_jobs
        self._metrics = metrics

    def on_post(self, req: Request, resp: Response, schedule_id: str) -> None:
        """Make a job of it now, whether it is enabled or not, and whatever its overlap policy."""
        client: Client = req.context.client
        key = idempotency_key(req, b"")
        with self._live_jobs.admission() as admit, self._ledger.write() as connection:
            stored = find_schedule(connection, schedule_id, client, lock=True)
            job = self._job(stored, client, req.context.request_id)
            earlier = remembered(connection, client.id, key, job.id) if key else None
            if earlier is not None:
                with pruned_is_conflict("job"):
                    shown = read_job(connection, earlier, client.reach)
            else:
                admit(stored.client_id, 1)
                shown = _fire(connection, stored, job)
                note_act(connection, "schedule.run", stored, client, job=str(job.id))
        if earlier is None:
            self._metrics.accepted.labels(job.kind).inc()
        answer_accepted(req, resp, shown)

    def _job(self, stored: Stored, client: Client, request_id: str) -> NewJob:
        wish = schedule_of(stored).submission
        return self._enqueuer.prepare(wish, stored.client_id, request_id, rights=client.rights)


def _fire(connection: Connection, stored: Stored, job: NewJob) -> Job:
    # Under the schedule's lock, so that no two have the same time.
    fire_at = schedules.clock(connection)
    new = NewFiring(schedule=stored.key, fire_at=fire_at, job_id=job.id, by_hand=True)
    firings.record(connection, [new])
    return Job.of_new(job, enqueue(connection, job))


def _place(moment: datetime) -> UUID:
    """A fire time as page tokens carry it."""
    return UUID(int=(moment - _EPOCH) // _MICROSECOND)


def _moment(place: UUID) -> datetime:
    try:
        return _EPOCH + place.int * _MICROSECOND
    except OverflowError:
        raise invalid(400, Refused("page_token", "is none that was given out here")) from None
