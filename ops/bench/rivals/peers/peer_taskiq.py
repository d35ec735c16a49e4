"""taskiq on a Redis list with results, a process for each core."""

import asyncio
import os
import time

import redis
from taskiq import AsyncTaskiqTask
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

URL = os.environ["BENCH_REDIS"]

broker = ListQueueBroker(URL).with_result_backend(RedisAsyncResultBackend(URL, prefix_str="result"))


@broker.task(task_name="noop")
async def noop(number: int) -> tuple[int, float]:
    """Give the number back, and the time."""
    return number, time.time()


def clear() -> None:
    """Forget what was before."""
    redis.Redis.from_url(URL).flushdb()


def submit(count: int) -> list[AsyncTaskiqTask]:
    """Queue jobs."""
    return asyncio.run(_submit(count))


async def _submit(count: int) -> list[AsyncTaskiqTask]:
    await broker.startup()
    handles = [await noop.kiq(number) for number in range(count)]
    await broker.shutdown()
    return handles


def workers(cores: int) -> list[list[str]]:
    """The command lines of the workers."""
    return [["taskiq", "worker", "peer_taskiq:broker", "--workers", str(cores), "--log-level", "WARNING"]]


def done() -> int:
    """How many ended."""
    client = redis.Redis.from_url(URL)
    return sum(1 for _ in client.scan_iter("result:*", count=5000))


def results(handles: list[AsyncTaskiqTask]) -> list[tuple[int, float]]:
    """What the jobs returned."""
    return asyncio.run(_results(handles))


async def _results(handles: list[AsyncTaskiqTask]) -> list[tuple[int, float]]:
    backend = RedisAsyncResultBackend(URL, prefix_str="result")
    found = [(await backend.get_result(handle.task_id)).return_value for handle in handles]
    await backend.shutdown()
    return found
