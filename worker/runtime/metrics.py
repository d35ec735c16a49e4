"""What a worker counts. Labels are kinds, queues and states: bounded sets."""

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker import tallies
from worker.contract.states import State


class Metrics:
    """The metrics of one worker; under prefork each child writes its share to the multiprocess folder."""

    def __init__(self, registry: CollectorRegistry) -> None:
        tallies.keep_room()
        self._ended = Counter(
            "jobyard_attempts",
            "Attempts that ended, by the state in which they left their job",
            ("kind", "state"),
            registry=registry,
        )
        self._seconds = Histogram(
            "jobyard_attempt_seconds",
            "How long handlers ran",
            ("kind",),
            buckets=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=registry,
        )
        self._running = Gauge(
            "jobyard_running",
            "Attempts that run now",
            ("kind",),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "jobyard_claims_refused",
            "Messages whose job was not to be had: doubled, cancelled, expired or paused",
            registry=registry,
        )
        self.dropped = Counter(
            "jobyard_messages_dropped",
            "Messages that no job could stand behind: malformed, without a job's id, or of an unknown kind",
            ("reason",),
            registry=registry,
        )
        self.losses = Counter("jobyard_losses", "Jobs whose process died", ("kind",), registry=registry)

    @contextlib.contextmanager
    def running(self, kind: str) -> Iterator[None]:
        """Count and time an attempt."""
        began = time.monotonic()
        self._running.labels(kind).inc()
        try:
            yield
        finally:
            self._running.labels(kind).dec()
            self._seconds.labels(kind).observe(time.monotonic() - began)

    def ended(self, kind: str, state: State) -> None:
        """Count an outcome."""
        self._ended.labels(kind, state.value).inc()
