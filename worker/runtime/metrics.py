"""What a worker counts. Labels are kinds, queues and states: bounded sets."""

import contextlib
import time
from collections.abc import Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker import tallies
from worker.catalog import Catalog
from worker.connections import Connections
from worker.contract.states import FINAL, State
from worker.ledger.records import ClaimedJob

_OUTCOMES = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.RETRYING)
_DROPPED = ("malformed", "no_job_id", "unknown_kind")
_UNKNOWN = "unknown"  # a job of a kind that this worker does not know must not make a label of it

_WAITS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600)
_RUNS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
_WRITES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCHES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """The metrics of one worker; under prefork each child writes its share to the multiprocess folder.

    Args:
        registry: where they are shown from.
        catalog: of the kinds that may become labels.
    """

    def __init__(self, registry: CollectorRegistry, catalog: Catalog) -> None:
        tallies.keep_room()
        self._catalog = catalog
        self._ended = Counter(
            "jobyard_attempts",
            "Attempts that ended, by the state in which they left their job",
            ("kind", "state"),
            registry=registry,
        )
        self._finished = Counter(
            "jobyard_jobs_finished", "Jobs that a worker ended", ("kind", "state"), registry=registry
        )
        self._waited = Histogram(
            "jobyard_job_waiting_seconds",
            "How long jobs had been due when they were claimed, by the ledger's clock",
            ("queue", "kind"),
            buckets=_WAITS,
            registry=registry,
        )
        self._seconds = Histogram(
            "jobyard_attempt_seconds", "How long handlers ran", ("kind",), buckets=_RUNS, registry=registry
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
        self._losses = Counter("jobyard_losses", "Jobs whose process died", ("kind",), registry=registry)
        self._batches = Histogram(
            "jobyard_ledger_batch_jobs",
            "Jobs of which claims and outcomes went to the ledger in one transaction",
            buckets=_BATCHES,
            registry=registry,
        )
        self._writes = Histogram(
            "jobyard_ledger_batch_seconds",
            "How long such a transaction took",
            buckets=_WRITES,
            registry=registry,
        )
        self.connections = Connections(registry)

    def expect(self, queues: Collection[str]) -> None:
        """Begin at 0 for what may be counted here: else a first increase would not be seen.

        Args:
            queues: that the worker consumes.
        """
        for reason in _DROPPED:
            self.dropped.labels(reason)
        for kind in self._catalog.values():
            for queue in (queue.name for queue in kind.queues if queue.name in queues):
                self._waited.labels(queue, kind.name)
                self._seconds.labels(kind.name)
                self._running.labels(kind.name)
                self._losses.labels(kind.name)
                for state in _OUTCOMES:
                    self._ended.labels(kind.name, state.value)
                for state in FINAL:
                    self._finished.labels(kind.name, state.value)

    @contextlib.contextmanager
    def running(self, job: ClaimedJob) -> Iterator[None]:
        """Count and time an attempt, and the wait before it."""
        kind = self._label(job.kind)
        self._waited.labels(job.queue, kind).observe(job.waited)
        began = time.monotonic()
        self._running.labels(kind).inc()
        try:
            yield
        finally:
            self._running.labels(kind).dec()
            self._seconds.labels(kind).observe(time.monotonic() - began)

    def ended(self, kind: str, state: State, count: int = 1) -> None:
        """Count outcomes."""
        self._ended.labels(self._label(kind), state.value).inc(count)
        self._finish(kind, state, count)

    def lost(self, kind: str, state: State | None) -> None:
        """Count a job whose process died.

        Args:
            kind: of the job.
            state: in which that left it; None: somebody had taken it away before.
        """
        self._losses.labels(self._label(kind)).inc()
        if state is not None:
            self._finish(kind, state, 1)

    def written(self, jobs: int, seconds: float) -> None:
        """Note a transaction with the claims and outcomes of some jobs."""
        self._batches.observe(jobs)
        self._writes.observe(seconds)

    def _finish(self, kind: str, state: State, count: int) -> None:
        if state in FINAL:
            self._finished.labels(self._label(kind), state.value).inc(count)

    def _label(self, kind: str) -> str:
        return kind if kind in self._catalog else _UNKNOWN
