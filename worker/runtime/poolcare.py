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

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Only the prefork pool has an event loop, and children that can die."""
        hub.call_repeatedly(_EVERY, worker.pool.maintain_pool)
