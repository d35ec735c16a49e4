"""Telling waiting clients that a job or a batch ended, over the broker's Redis.

Only a wake-up: the API reads the ledger once a second anyway, so a lost notice costs a second. It must
never delay an outcome, so it gives up quickly and then rests.
"""

import time
from collections.abc import Iterable
from uuid import UUID

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.broker import ENDED_CHANNEL
from worker.settings import is_redis

_PATIENCE = 0.5  # seconds
_REST = 5.0  # seconds without notices after a failure


class Notices:
    """Publishes the ids of jobs and batches that ended."""

    def __init__(self, broker_url: str) -> None:
        self._redis = (
            redis.Redis.from_url(
                broker_url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                retry=Retry(NoBackoff(), 0),
            )
            if is_redis(broker_url)
            else None
        )
        self._resting_until = float("-inf")

    def ended(self, ids: Iterable[UUID]) -> None:
        """Say that these ended; never raises."""
        if self._redis is None or time.monotonic() < self._resting_until:
            return
        try:
            self._redis.publish(ENDED_CHANNEL, ",".join(map(str, ids)))
        except (redis.RedisError, OSError):
            self._resting_until = time.monotonic() + _REST
