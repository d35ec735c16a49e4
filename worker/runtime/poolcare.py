"""What Celery's pool is replaced by, where it needs something of its own."""

from typing import Any

from celery import bootsteps


class PoolCare(bootsteps.StartStopStep):
    """A step of Celery's worker blueprint."""

    requires = ("celery.worker.components:Pool",)

    def create(self, worker: Any) -> None:
        """Before the pool starts."""
        if is_prefork(type(worker.pool)):
            from worker.runtime.slots import Slots  # noqa: PLC0415 - no other pool needs billiard

            worker.pool.Pool = Slots


def is_prefork(pool: type) -> bool:
    """Whether a pool of Celery gives each job a process of its own."""
    return pool.__module__.endswith("prefork")
