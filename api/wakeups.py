"""The workers' notices of jobs that ended, heard over the broker's Redis.

They only save waiting clients a part of a second: a broker that is away, or is no Redis, costs just that.
"""

import threading
from collections.abc import Callable, Iterable

import redis
from loguru import logger
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.broker import ENDED_CHANNEL

_PATIENCE = 5.0  # seconds that the broker may stay silent when it is asked something
_PAUSE = 1.0  # seconds between two tries to reach it
_HUSH = 5.0  # seconds without a notice after which it looks whether it was closed


class Wakeups:
    """Subscribes to the notices and passes the ids on.

    Args:
        url: of Redis or Valkey.
        wake: takes the ids of jobs that ended.
    """

    def __init__(self, url: str, wake: Callable[[Iterable[str]], None]) -> None:
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            socket_keepalive=True,
            health_check_interval=_PATIENCE,
            retry=Retry(NoBackoff(), 0),  # `_run` tries again, and for ever
        )
        self._wake = wake
        self._closed = threading.Event()
        self._connected = True  # so that the first failure is logged, and each one after a success
        self._thread = threading.Thread(target=self._run, name="wakeups", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening soon."""
        self._closed.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                level = "WARNING" if self._connected else "DEBUG"
                logger.log(level, "wakeups_lost", error=type(error).__name__)
                self._connected = False
                self._closed.wait(_PAUSE)

    def _listen(self) -> None:
        notices = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with notices:
            notices.subscribe(ENDED_CHANNEL)
            self._connected = True
            while not self._closed.is_set():
                if notice := notices.get_message(timeout=_HUSH):
                    self._wake(notice["data"].decode("ascii", "replace").split(","))
