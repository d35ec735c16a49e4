"""The composition root of one API process: settings in, a WSGI application out.

Gunicorn calls `app` after the fork and after gevent's patching, so that connections and threads belong to
the process that uses them.
"""

import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from gunicorn.http.errors import ParseException
from prometheus_client import CollectorRegistry

from api import cooperation, malformed
from api.app import Deps, create_app
from api.cache import Cache, NoCache, RedisCache
from api.limits import RateLimiter
from api.live_jobs import LiveJobs, NoCap
from api.metrics import Metrics
from api.waiting import Waiters
from api.wakeups import Wakeups
from worker import catalog, logs
from worker.broker import Broker
from worker.connections import Connections
from worker.ledger import batches, jobs
from worker.ledger.engines import Ledger
from worker.publisher import Publisher
from worker.settings import Settings, is_redis
from worker.stores import storage_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LAST_MESSAGES = 5.0  # seconds to publish what was accepted last; reconcile finds what is left over
_SILENCE = 5.0  # seconds beyond a statement's limit after which the ledger's server counts as gone


class Api:
    """The API of one process, with all that it holds open.

    Args:
        settings: with the URLs of the ledger and the broker.
    """

    def __init__(self, settings: Settings) -> None:
        if settings.broker_url is None:
            raise ValueError("no broker: set JOBYARD_BROKER_URL, or run `jobyard up`")
        if cooperation.is_on():
            cooperation.teach_psycopg2(
                connecting=settings.database_connect_timeout,
                answering=settings.database_statement_timeout + _SILENCE,
            )
        self.drain_delay = settings.api_drain_delay
        self.draining = False  # it stops: nobody should send it more
        self._ledger = Ledger.open(_keeping_connections(settings), "api")
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        Connections(registry).watch(self._ledger, settings)
        self._publisher = Publisher(Broker(settings.broker_url), self._ledger, settings.broker_depth)
        self._waiters = Waiters(self._ended)
        redis = is_redis(settings.broker_url)
        self._wakeups = Wakeups(settings.broker_url, self._waiters.wake) if redis else None
        limit = settings.rate_limit
        self._limiter = RateLimiter(limit, settings.broker_url) if limit else None
        self._live_jobs = LiveJobs(settings.live_jobs, self._counted) if settings.live_jobs else None
        self._app = create_app(self._deps(settings))

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        return self._app(environ, start_response)

    def refusal(self, error: ParseException, config: Any) -> bytes:
        """The answer to what gunicorn found to be no HTTP; raises nothing."""
        return malformed.answer(error, config)

    def start(self) -> None:
        """Begin what runs beside the requests."""
        self._publisher.start()
        self._waiters.start()
        if self._wakeups is not None:
            self._wakeups.start()
        if self._live_jobs is not None:
            self._live_jobs.start()

    def release(self) -> None:
        """Answer those who wait, with their jobs as they are: the process stops."""
        self._waiters.close()

    def close(self) -> None:
        """Publish the last messages and let go of everything."""
        self.release()
        if self._wakeups is not None:
            self._wakeups.close()
        if self._live_jobs is not None:
            self._live_jobs.close()
        if self._limiter is not None:
            self._limiter.close()
        self._publisher.close(_LAST_MESSAGES)
        self._ledger.close()

    def _deps(self, settings: Settings) -> Deps:
        kinds = catalog.of_clients(catalog.load(settings.kind_packages))
        self._metrics.expect(kinds)
        return Deps(
            settings=settings,
            catalog=kinds,
            ledger=self._ledger,
            storage=storage_of(settings, cooperation.apart),
            publisher=self._publisher,
            waiters=self._waiters,
            metrics=self._metrics,
            rate_limiter=self._limiter,
            live_jobs=self._live_jobs or NoCap(),
            draining=lambda: self.draining,
            cache=_cache(settings),
        )

    def _ended(self, ids: Collection[UUID]) -> Collection[UUID]:
        with self._ledger.write_at_once() as connection:
            return jobs.ended_among(connection, ids) | batches.ended_among(connection, ids)

    def _counted(self) -> Mapping[UUID, int]:
        with self._ledger.write() as connection:
            return jobs.live_by_client(connection)


def _cache(settings: Settings) -> Cache:
    if settings.api_cache and settings.broker_url and is_redis(settings.broker_url):
        return RedisCache(settings.broker_url, settings.api_cache)
    return NoCache()


def _keeping_connections(settings: Settings) -> Settings:
    # The same number at most, but kept: under load an overflow is opened and closed for each request,
    # which cost a quarter of the submissions and doubled their 99th percentile.
    size = settings.database_pool_size + settings.database_pool_overflow
    return msgspec.structs.replace(settings, database_pool_size=size, database_pool_overflow=0)


def app() -> Api:
    """The application of this process, started.

    Raises:
        SettingsError: a variable of the environment cannot be used.
    """
    settings = Settings.from_environment(os.environ)
    logs.set_up(settings, "api")
    api = Api(settings)
    api.start()
    return api
