"""Huey on Redis with results, a process for each core."""

import os
import time

import redis
from huey import RedisHuey
from huey.api import Result

URL = os.environ["BENCH_REDIS"]

huey = RedisHuey("bench", url=URL)


@huey.task()
def noop(number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


def clear() -> None:
    """Forget what was before."""
    redis.Redis.from_url(URL).flushdb()


def submit(count: int) -> list[Result]:
    """Queue jobs."""
    return [noop(number) for number in range(count)]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [
        ["huey_consumer", "peer_huey.huey", "--workers", str(cores), "--worker-type", "process", "--quiet"]
    ]


def done() -> int:
    """How many ended."""
    return huey.result_count()


def results(handles: list[Result]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return [handle.get() for handle in handles]
