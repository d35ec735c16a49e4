from typing import Any, cast

from celery.worker.components import Pool

from worker.runtime.poolcare import PoolCare


class Hub:
    def __init__(self) -> None:
        self.repeated: list[tuple[float, Any]] = []

    def call_repeatedly(self, seconds: float, function: Any) -> None:
        self.repeated.append((seconds, function))


class Worker:
    class pool:  # noqa: N801 - Celery's name
        @staticmethod
        def maintain_pool() -> None:
            """Celery's: replace the children that died."""


def test_the_pool_is_looked_after_more_than_once_a_second() -> None:
    hub = Hub()
    PoolCare.register_with_event_loop(object.__new__(cast("Any", PoolCare)), Worker(), hub)
    ((seconds, function),) = hub.repeated
    assert seconds < 1
    assert function is Worker.pool.maintain_pool


def test_it_comes_after_the_pool() -> None:
    assert PoolCare.requires == (f"{Pool.__module__}:{Pool.__name__}",)
