import contextlib
import queue
import time
from collections.abc import Iterable, Iterator

import pytest
import redis
from loguru import logger

from api.wakeups import Wakeups
from ops.embedded.ports import free_ports
from worker.broker import ENDED_CHANNEL

Heard = queue.Queue[list[str]]

PATIENCE = 60.0  # seconds: a test that gets there fails


@pytest.fixture
def heard() -> Heard:
    return queue.Queue()


@pytest.fixture
def broker(broker_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(broker_url) as client:
        yield client


def wakeups_of(url: str, heard: Heard) -> Wakeups:
    def wake(job_ids: Iterable[str]) -> None:
        heard.put(list(job_ids))

    return Wakeups(url, wake)


def until_heard(broker: "redis.Redis", heard: Heard, notice: str) -> None:
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        broker.publish(ENDED_CHANNEL, notice)
        with contextlib.suppress(queue.Empty):
            while heard.get(timeout=0.05) != [notice]:
                pass
            return
    pytest.fail(f"{notice!r} was not heard")


def test_a_notice_of_several_ids_wakes_them_all(broker: "redis.Redis", broker_url: str, heard: Heard) -> None:
    wakeups = wakeups_of(broker_url, heard)
    wakeups.start()
    until_heard(broker, heard, "hello")
    for notice in ("one,two", b"\xff"):
        broker.publish(ENDED_CHANNEL, notice)
    while (words := heard.get(timeout=PATIENCE)) == ["hello"]:
        pass
    assert words == ["one", "two"]
    assert heard.get(timeout=PATIENCE) == ["\N{REPLACEMENT CHARACTER}"]
    wakeups.close()


def test_a_broker_that_went_away_is_listened_to_again(
    broker: "redis.Redis", broker_url: str, heard: Heard
) -> None:
    wakeups = wakeups_of(broker_url, heard)
    wakeups.start()
    until_heard(broker, heard, "hello")
    broker.client_kill_filter(_type="pubsub")
    until_heard(broker, heard, "back")
    wakeups.close()


def test_a_broker_that_is_down_is_reported_once(heard: Heard) -> None:
    (port,) = free_ports(1)
    lines: queue.Queue[str] = queue.Queue()
    sink = logger.add(lambda message: lines.put(message.record["level"].name), filter="api.wakeups")
    wakeups = wakeups_of(f"redis://127.0.0.1:{port}/0", heard)
    wakeups.start()
    assert [lines.get(timeout=PATIENCE) for _ in range(2)] == ["WARNING", "DEBUG"]
    wakeups.close()
    logger.remove(sink)
