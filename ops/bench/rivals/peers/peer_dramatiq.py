"""Dramatiq on Redis with results, a process for each core and eight threads in each: its defaults."""

import os
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

URL = os.environ["BENCH_REDIS"]

broker = RedisBroker(url=URL)
backend = RedisBackend(url=URL)
broker.add_middleware(Results(backend=backend))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def noop(number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


def clear() -> None:
    """Forget what was before."""
    redis.Redis.from_url(URL).flushdb()


def submit(count: int) -> list[dramatiq.Message]:
    """Queue jobs."""
    return [noop.send(number) for number in range(count)]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [["dramatiq", "peer_dramatiq", "--processes", str(cores)]]


def done() -> int:
    """How many ended: the key of a result is a digest."""
    client = redis.Redis.from_url(URL)
    return sum(1 for _ in client.scan_iter("?" * 32, count=5000))


def results(handles: list[dramatiq.Message]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return [handle.get_result(backend=backend) for handle in handles]
