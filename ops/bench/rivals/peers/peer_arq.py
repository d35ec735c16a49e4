"""arq with results, a process for each core."""

import asyncio
import os
import time
from typing import Any

import redis
from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

URL = os.environ["BENCH_REDIS"]


async def noop(_ctx: dict[str, Any], number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


class WorkerSettings:
    """What `arq` reads."""

    functions = (noop,)
    redis_settings = RedisSettings.from_dsn(URL)


def clear() -> None:
    """Forget what was before."""
    redis.Redis.from_url(URL).flushdb()


def submit(count: int) -> list[str]:
    """Queue jobs; their ids."""
    return asyncio.run(_submit(count))


async def _submit(count: int) -> list[str]:
    pool = await create_pool(WorkerSettings.redis_settings)
    jobs = [await pool.enqueue_job("noop", number) for number in range(count)]
    await pool.aclose()
    return [job.job_id for job in jobs if job is not None]


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [["arq", "peer_arq.WorkerSettings"]] * cores


def done() -> int:
    """How many ended."""
    client = redis.Redis.from_url(URL)
    return sum(1 for _ in client.scan_iter("arq:result:*", count=5000))


def results(handles: list[str]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return asyncio.run(_results(handles))


async def _results(handles: list[str]) -> list[tuple[int, float]]:
    pool = await create_pool(WorkerSettings.redis_settings)
    found = [await Job(job_id, pool).result(timeout=10) for job_id in handles]
    await pool.aclose()
    return found
