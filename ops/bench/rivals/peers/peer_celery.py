"""Plain Celery with the Redis broker and results at their defaults, prefork."""

import os
import time

import redis
from celery import Celery
from celery.result import AsyncResult

URL = os.environ["BENCH_REDIS"]
POOL = ["--pool", "prefork"]

app = Celery("peer_celery", broker=URL, backend=URL)


@app.task(name="noop")
def noop(number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


def clear() -> None:
    """Forget what was before."""
    redis.Redis.from_url(URL).flushdb()


def submit(count: int) -> list[AsyncResult]:
    """Queue jobs."""
    return [noop.delay(number) for number in range(count)]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [["celery", "-A", "peer_celery", "worker", *POOL, "--concurrency", str(cores), "-l", "WARNING"]]


def done() -> int:
    """How many ended: all keys are results, but for the queue's and the bindings'."""
    client = redis.Redis.from_url(URL)
    return sum(1 for _ in client.scan_iter("celery-task-meta-*", count=5000))


def results(handles: list[AsyncResult]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return [handle.get(timeout=10) for handle in handles]
