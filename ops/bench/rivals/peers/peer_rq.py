"""RQ with a worker for each core, which forks for each job: its default."""

import os
import time

import redis
from rq import Queue
from rq.job import Job

URL = os.environ["BENCH_REDIS"]

connection = redis.Redis.from_url(URL)
queue = Queue(connection=connection)


def noop(number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


def clear() -> None:
    """Forget what was before."""
    connection.flushdb()


def submit(count: int) -> list[Job]:
    """Queue jobs."""
    return [queue.enqueue(noop, number) for number in range(count)]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    os.environ["RQ_REDIS_URL"] = URL
    return [["rq", "worker-pool", "default", "--num-workers", str(cores), "--logging-level", "WARNING"]]


def done() -> int:
    """How many ended."""
    return queue.finished_job_registry.count


def results(handles: list[Job]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return [handle.return_value(refresh=True) for handle in handles]
