"""How many requests a key may send: counted by the library `limits`, on the broker's Redis for all processes.

One count for each key and window of the clock, so a request costs one round trip and is told exactly what is
left; around the turn of a window up to twice the limit can pass. Where Redis is away, or the broker is
RabbitMQ, each process counts for itself.
"""

import math
import time
from collections.abc import Callable
from uuid import UUID

import limits
import msgspec
import redis
from limits.storage import MemoryStorage, RedisStorage, Storage
from loguru import logger
from redis.backoff import NoBackoff
from redis.retry import Retry

_PATIENCE = 0.25  # seconds for which a request waits for Redis
_PAUSE = 1.0  # seconds after a failure in which Redis is not asked
_CONNECTIONS = 16  # of one process
_PREFIX = "jobyard.requests"


class Standing(msgspec.Struct, frozen=True):
    """Where a key stands in this window."""

    quota: int  # requests in a window
    window: int  # its seconds
    remaining: int  # negative: so many too many
    seconds: int  # until the next window begins


class RateLimiter:
    """Counts requests.

    Args:
        limit: as in the settings, `600/minute`.
        url: of the broker.
        clock: tells the seconds since the epoch.
    """

    def __init__(self, limit: str, url: str, clock: Callable[[], float] = time.time) -> None:
        self._limit = limits.parse(limit)
        self._clock = clock
        self._local = MemoryStorage()
        self._pool = _pool(url) if url.startswith(("redis://", "rediss://")) else None
        self._shared = RedisStorage(url, self._pool, key_prefix=_PREFIX) if self._pool else None
        self._ask_again_at = 0.0  # monotonic time

    def hit(self, key_id: UUID) -> Standing:
        """Count a request."""
        window = self._limit.get_expiry()
        number, passed = divmod(self._clock(), window)
        count = self._count(self._limit.key_for(str(key_id), int(number)), window)
        seconds = math.ceil(window - passed)  # not before the next window begins
        return Standing(self._limit.amount, window, self._limit.amount - count, seconds)

    def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            self._pool.disconnect()

    def _count(self, key: str, window: int) -> int:
        shared = self._reachable()
        if shared is not None:
            try:
                return self._counted(shared, key, window)
            except (redis.RedisError, OSError) as error:
                logger.warning("limits_local", error=type(error).__name__)
                self._ask_again_at = time.monotonic() + _PAUSE
        return self._local.incr(key, window)

    def _counted(self, shared: Storage, key: str, window: int) -> int:
        count = shared.incr(key, window)
        self._ask_again_at = 0.0
        return count

    def _reachable(self) -> Storage | None:
        """Redis, unless it failed a moment ago; then one request tries it, and no other waits."""
        if self._ask_again_at:
            if time.monotonic() < self._ask_again_at:
                return None
            self._ask_again_at = time.monotonic() + _PAUSE
        return self._shared


def _pool(url: str) -> redis.BlockingConnectionPool:
    return redis.BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_PATIENCE,
        socket_timeout=_PATIENCE,
        socket_connect_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),  # the next request tries again
    )
