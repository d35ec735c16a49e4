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
from worker.ledger import standing
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.ledger.standing import Standing
from worker.settings import Settings

EVERY = 5.0  # seconds


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

    def run(self, _todo: Agenda) -> bool:
        """Look, when it is time to."""
        if self._clock() < self._next:
            return False
        self._next = self._clock() + EVERY
        self._look_at_disk()
        with self._ledger.write() as connection:
            seen = standing.read(connection, [queue.name for queue in self._queues], self._lease)
        objectives = {queue.name: queue.objective for queue in self._queues}
        for queue in seen:
            self._gauges.stand(queue, objectives[queue.queue])
        return False

    def _look_at_disk(self) -> None:
        if self._home.exists():
            disk = shutil.disk_usage(self._home)
            self._gauges.size.set(disk.total)
            self._gauges.free.set(disk.free)


class _Gauges:
    """The gauges of one beat."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.size = self._gauge("home_size_bytes", "Size of the disk of JOBYARD_HOME")
        self.free = self._gauge("home_free_bytes", "Room on the disk of JOBYARD_HOME")
        self._depth = self._gauge("queue_depth", f"Queued jobs, {standing.COUNTED} or so at most", "queue")
        self._age = self._gauge(
            "queue_oldest_waiting_seconds", "How long the oldest queued job has been due", "queue"
        )
        self._running = self._gauge("queue_running", "Jobs that run", "queue")
        self._workers = self._gauge("queue_workers", "Workers that consume it, by their leases", "queue")
        self._paused = self._gauge("queue_paused", "1 while it is paused", "queue")
        self._objective = self._gauge(
            "queue_objective_seconds", "How long a job of it should wait at most", "queue"
        )

    def stand(self, seen: Standing, objective: float) -> None:
        """Show how a queue stands."""
        for gauge, value in (
            (self._depth, seen.depth),
            (self._age, seen.age),
            (self._running, seen.running),
            (self._workers, seen.workers),
            (self._paused, seen.paused),
            (self._objective, objective),
        ):
            gauge.labels(seen.queue).set(value)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"jobyard_{name}", documentation, labels, registry=self._registry)
