"""What a beat tells of the whole platform, for Prometheus: how its queues stand, and the room on its disk.

It is the platform's and not a process's, so beats alone tell it: all of them the same, and whoever asks takes
the largest.
"""

import shutil
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Gauge

from schedules.metrics import Metrics
from worker.contract.queues import Queue
from worker.ledger import leases, queues
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.settings import Settings

EVERY = 5.0  # seconds

_NOTHING = queues.Waiting(depth=0, oldest=None, age=0.0)


class Observation:
    """The part that looks.

    Args:
        ledger: whose queues they are.
        queues: all of them.
        settings: with the lease, and the home whose disk is looked at.
        metrics: of the beat, beside which it is shown.
        clock: seconds that only grow.
    """

    name = "observation"

    def __init__(
        self,
        ledger: Ledger,
        queues: Iterable[Queue],
        settings: Settings,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._queues = tuple(queues)
        self._lease = settings.lease
        self._home = settings.home_path
        self._clock = clock
        self._gauges = _Gauges(metrics.registry)
        self._next = float("-inf")

    def run(self, todo: Agenda) -> bool:
        """Look, when it is time to."""
        if self._clock() < self._next:
            return False
        self._next = self._clock() + EVERY
        self._look_at_disk()
        self._look_at_queues(todo)
        return False

    def _look_at_queues(self, todo: Agenda) -> None:
        queued = [queue.name for queue in self._queues] if todo.publishable or todo.published else []
        with self._ledger.write() as connection:
            waiting = queues.waiting(connection, queued) if queued else {}
            running = queues.running(connection)
            paused = queues.paused(connection)
            workers = leases.consuming(connection, self._lease)
        for queue in self._queues:
            name = queue.name
            self._gauges.depth.labels(name).set(waiting.get(name, _NOTHING).depth)
            self._gauges.age.labels(name).set(waiting.get(name, _NOTHING).age)
            self._gauges.running.labels(name).set(running.get(name, 0))
            self._gauges.workers.labels(name).set(len(workers.get(name, ())))
            self._gauges.paused.labels(name).set(name in paused)
            self._gauges.objective.labels(name).set(queue.objective)

    def _look_at_disk(self) -> None:
        if self._home.exists():
            disk = shutil.disk_usage(self._home)
            self._gauges.size.set(disk.total)
            self._gauges.free.set(disk.free)


class _Gauges:
    """What a beat shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.size = self._gauge("home_size_bytes", "Size of the disk of JOBYARD_HOME")
        self.free = self._gauge("home_free_bytes", "Room on the disk of JOBYARD_HOME")
        self.depth = self._gauge("queue_depth", f"Queued jobs, {queues.COUNTED} at most", "queue")
        self.age = self._gauge(
            "queue_oldest_waiting_seconds", "How long the oldest queued job has been due", "queue"
        )
        self.running = self._gauge("queue_running", "Jobs that run", "queue")
        self.workers = self._gauge("queue_workers", "Workers that consume it, by their leases", "queue")
        self.paused = self._gauge("queue_paused", "1 while it is paused", "queue")
        self.objective = self._gauge(
            "queue_objective_seconds", "How long a job of it should wait at most", "queue"
        )

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"jobyard_{name}", documentation, labels, registry=self._registry)
