"""Looking after the pool often: a dead child must be seen within a second.

Celery looks every five seconds; the exit of a child wakes it too, but the job of that child is given up
only at the look after that.
"""

from typing import Any

from celery import bootsteps

_EVERY = 0.5  # seconds


class PoolCare(bootsteps.StartStopStep):
    """A step of Celery's worker blueprint."""

    requires = ("celery.worker.components:Pool",)

    def create(self, worker: Any) -> None:
        """Before the pool starts."""
        if is_prefork(type(worker.pool)):
            from worker.runtime.slots import Slots  # noqa: PLC0415 - no other pool needs billiard

            worker.pool.Pool = Slots

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Only the prefork pool has children that can die."""
        if is_prefork(type(worker.pool)):
            hub.call_repeatedly(_EVERY, worker.pool.maintain_pool)


def is_prefork(pool: type) -> bool:
    """Whether a pool of Celery gives each job a process of its own."""
    return pool.__module__.endswith("prefork")
