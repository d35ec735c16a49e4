"""The app: which resource answers where, and what happens around every request.

Apart from its composition root (`api.wsgi`), so that a test makes one of what it likes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import falcon

from api import errors, openapi
from api.applications import App
from api.batch_reader import BatchReader
from api.cache import Cache, NoCache
from api.follower import Follower
from api.job_reader import JobReader
from api.limits import RateLimiter
from api.live_jobs import Cap, NoCap
from api.metrics import Metrics
from api.middleware.authentication import Authentication
from api.middleware.authorization import Authorization
from api.middleware.observation import Observation
from api.middleware.options import Options
from api.middleware.request_id import RequestId
from api.middleware.throttling import Throttling
from api.operation import IDEMPOTENCY_KEY
from api.operations import OPERATIONS
from api.queue_reader import QueueReader
from api.resources.acts import CancelJobs, RetryJobs
from api.resources.artifacts import JobArtifact, Upload, Uploads
from api.resources.audit import Audit
from api.resources.batches import Batches, CancelBatch, OneBatch
from api.resources.description import Description, Reference
from api.resources.failures import Failures
from api.resources.firings import Firings, Run
from api.resources.health import Liveness, Readiness
from api.resources.job import Cancel, OneJob, Retry
from api.resources.jobs import Jobs, Publishing
from api.resources.kinds import Kinds
from api.resources.queues import OneQueue, PauseQueue, PurgeQueue, Queues, ResumeQueue
from api.resources.schedules import OneSchedule, Schedules, Switch
from api.scheduling import LARGEST
from api.turns import Turns
from api.upload_cap import UploadCap
from api.waiting import Waiters
from worker.catalog import Catalog, of_operators, queue_names
from worker.enqueue import Enqueuer
from worker.ledger.engines import Ledger
from worker.settings import Settings
from worker.storage import Storage


class Carrier(Publishing, Protocol):
    """What the API asks of the publisher."""

    def broker_up(self) -> bool:
        """Whether the broker answered lately."""


@dataclass(frozen=True, kw_only=True)
class Deps:
    """What the app is made of; who makes them opens and closes them."""

    settings: Settings
    catalog: Catalog
    ledger: Ledger
    storage: Storage
    publisher: Carrier
    waiters: Waiters
    metrics: Metrics
    rate_limiter: RateLimiter | None = None
    live_jobs: Cap = field(default_factory=NoCap)
    draining: Callable[[], bool] = lambda: False  # whether the process stops
    cache: Cache = field(default_factory=NoCache)


def create_app(deps: Deps) -> App:
    """The WSGI application."""
    app: App = falcon.App(
        middleware=[
            RequestId(),
            Observation(deps.metrics),
            Options(),
            Authentication(deps.ledger, of_operators(deps.catalog)),
            *([Throttling(deps.rate_limiter)] if deps.rate_limiter else []),
            Authorization(OPERATIONS),
        ]
    )
    errors.install(app, {path for (path, _), each in OPERATIONS.items() if IDEMPOTENCY_KEY in each.headers})
    resources = _resources(deps)
    for template, resource in resources.items():
        app.add_route(template, resource)
    described = openapi.document(deps.catalog, resources)
    app.add_route(openapi.PATH, Description(described))
    app.add_route("/docs", Reference(described))
    return app


def _resources(deps: Deps) -> Mapping[str, object]:
    settings, ledger, storage = deps.settings, deps.ledger, deps.storage
    connections = settings.database_pool_size + settings.database_pool_overflow
    turns = Turns(max(1, connections // 2))
    reader, batch_reader = JobReader(ledger, deps.cache), BatchReader(ledger)
    follower = Follower(reader.read, reader.look, deps.waiters, deps.metrics, turns)
    batch_follower = Follower(batch_reader.read, batch_reader.read, deps.waiters, deps.metrics, turns)
    queues = QueueReader(ledger, queue_names(deps.catalog), settings.lease)
    enqueuer = Enqueuer(deps.catalog, plain_http=settings.callback_http)
    largest_schedule = min(settings.api_max_body, LARGEST)
    jobs = Jobs(
        settings=settings,
        enqueuer=enqueuer,
        ledger=ledger,
        publisher=deps.publisher,
        follower=follower,
        metrics=deps.metrics,
        live_jobs=deps.live_jobs,
    )
    return {
        "/v1/jobs": jobs,
        "/v1/jobs/cancel": CancelJobs(ledger, follower),
        "/v1/jobs/retry": RetryJobs(ledger, deps.live_jobs),
        "/v1/jobs/{job_id}": OneJob(follower, settings.api_max_wait),
        "/v1/jobs/{job_id}/cancel": Cancel(ledger, follower),
        "/v1/jobs/{job_id}/retry": Retry(ledger, deps.live_jobs),
        "/v1/jobs/{job_id}/artifacts/{name}": JobArtifact(storage, ledger),
        "/v1/batches": Batches(
            settings=settings,
            enqueuer=enqueuer,
            ledger=ledger,
            publisher=deps.publisher,
            short=[kind.name for kind in deps.catalog.values() if kind.short],
            follower=batch_follower,
            metrics=deps.metrics,
            live_jobs=deps.live_jobs,
        ),
        "/v1/batches/{batch_id}": OneBatch(batch_follower, settings.api_max_wait),
        "/v1/batches/{batch_id}/cancel": CancelBatch(ledger, batch_follower),
        "/v1/artifacts": Uploads(storage, ledger, settings.api_max_artifact, UploadCap.of(settings)),
        "/v1/artifacts/{artifact_id}": Upload(storage, ledger),
        "/v1/schedules": Schedules(ledger, enqueuer, largest_schedule),
        "/v1/schedules/{schedule_id}": OneSchedule(ledger, enqueuer, largest_schedule),
        "/v1/schedules/{schedule_id}/enable": Switch(ledger, enabled=True),
        "/v1/schedules/{schedule_id}/disable": Switch(ledger, enabled=False),
        "/v1/schedules/{schedule_id}/run": Run(ledger, enqueuer, deps.live_jobs, deps.metrics),
        "/v1/schedules/{schedule_id}/firings": Firings(ledger),
        "/v1/kinds": Kinds(deps.catalog),
        "/v1/queues": Queues(queues),
        "/v1/queues/{queue}": OneQueue(queues),
        "/v1/queues/{queue}/pause": PauseQueue(ledger, queues),
        "/v1/queues/{queue}/resume": ResumeQueue(ledger, queues),
        "/v1/queues/{queue}/purge": PurgeQueue(ledger, queues, follower),
        "/v1/failures": Failures(ledger),
        "/v1/audit": Audit(ledger),
        "/healthz": Liveness(),
        "/readyz": Readiness(ledger, deps.publisher.broker_up, deps.draining),
    }
