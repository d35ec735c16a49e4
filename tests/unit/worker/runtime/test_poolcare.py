from types import SimpleNamespace
from typing import Any, cast

from celery.concurrency import prefork, thread
from celery.worker.components import Pool

from worker.runtime.poolcare import PoolCare


class Hub:
    def __init__(self) -> None:
        self.repeated: list[tuple[float, Any]] = []

    def call_repeatedly(self, seconds: float, function: Any) -> None:
        self.repeated.append((seconds, function))


def looked_after(pool: type) -> tuple[Any, Hub]:
    hub, worker = Hub(), SimpleNamespace(pool=object.__new__(pool))
    PoolCare.register_with_event_loop(object.__new__(cast("Any", PoolCare)), worker, hub)
    return worker, hub


def test_the_pool_is_looked_after_more_than_once_a_second() -> None:
    worker, hub = looked_after(prefork.TaskPool)
    ((seconds, function),) = hub.repeated
    assert seconds < 1
    assert function == worker.pool.maintain_pool


def test_a_pool_without_children_wakes_nobody() -> None:
    _, hub = looked_after(thread.TaskPool)
    assert hub.repeated == []


def test_it_comes_after_the_pool() -> None:
    assert PoolCare.requires == (f"{Pool.__module__}:{Pool.__name__}",)
