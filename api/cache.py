"""Jobs that succeeded, kept in the broker's Redis for a while: clients read them again and again.

Only those: nothing changes them any more, not even an act, so what is kept here cannot be out of date. A
failed or cancelled job may be run again, while Redis is away too, and so is never kept. Redis may forget or
be away at any time; the ledger answers then.
"""

import time
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import msgspec
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from api.representations import Job
from worker.contract.states import State

LARGEST = 16 * 1024  # bytes of JSON: a large answer is a burden to the broker, and rarely read twice

_PATIENCE = 0.2  # seconds that Redis may stay silent
_CONNECTIONS = 8  # of one process; who gets none in time reads the ledger
_REST = 5.0  # seconds without it after a failure
_DECODER = msgspec.json.Decoder(Job)


class Cache(Protocol):
    """What a reader asks of a cache."""

    def get(self, job_id: UUID, client_id: UUID) -> Job | None:
        """A client's job, where it is kept."""

    def put(self, job: Job, client_id: UUID) -> None:
        """Keep a job where it may be kept."""


class NoCache:
    """Where there is no Redis."""

    def get(self, job_id: UUID, client_id: UUID) -> Job | None:  # noqa: ARG002 - it keeps nothing
        """Nothing."""
        return None

    def put(self, job: Job, client_id: UUID) -> None:
        """Forget it."""


class RedisCache:
    """Keeps jobs in Redis as JSON, under `jobyard:job:<client>:<job>`.

    Args:
        url: of Redis or Valkey.
        seconds: for which a job is kept.
        timer: tells the seconds for which Redis is left alone after a failure.
    """

    def __init__(self, url: str, seconds: float, timer: Callable[[], float] = time.monotonic) -> None:
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_PATIENCE,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = redis.Redis(connection_pool=pool)
        self._milliseconds = int(seconds * 1000)
        self._timer = timer
        self._resting_until = float("-inf")

    def get(self, job_id: UUID, client_id: UUID) -> Job | None:
        """A client's job, where it is kept; never raises."""
        if self._timer() < self._resting_until:
            return None
        try:
            content = self._redis.get(_key(job_id, client_id))
            return None if content is None else _DECODER.decode(content)
        except (redis.RedisError, OSError):
            self._resting_until = self._timer() + _REST
        except msgspec.MsgspecError:
            pass  # another version of the API has kept it
        return None

    def put(self, job: Job, client_id: UUID) -> None:
        """Keep a job that succeeded, where it is not too large; never raises."""
        if job.state is not State.SUCCEEDED or self._timer() < self._resting_until:
            return
        content = msgspec.json.encode(job)
        if len(content) > LARGEST:
            return
        try:
            self._redis.set(_key(job.id, client_id), content, px=self._milliseconds)
        except (redis.RedisError, OSError):
            self._resting_until = self._timer() + _REST


def _key(job_id: UUID, client_id: UUID) -> str:
    return f"jobyard:job:{client_id}:{job_id}"
