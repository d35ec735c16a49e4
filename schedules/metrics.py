"""What a beat counts, for Prometheus."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.connections import Connections
from worker.contract.queues import QUEUES
from worker.contract.states import State

_ROUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)
_RULES = ("mark", "abandoned", "empty", "overtaken", "stale")  # of reconcile
_PARTS = (
    "ledger",
    "dispatch",
    "reconcile",
    "files of schedules",
    "firing",
    "due",
    "rescue",
    "follow-ups",
    "observation",
)


class Metrics:
    """The metrics of one beat, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = Counter("jobyard_jobs_accepted", "Jobs accepted.", ["kind"], registry=self.registry)
        self._finished = Counter(
            "jobyard_jobs_finished", "Jobs that a beat ended", ["kind", "state"], registry=self.registry
        )
        self._kinds: frozenset[str] = frozenset()
        # The label names schedules of files; those of clients, of which there are many, share "".
        self.fired = self._counter("fired", "Jobs made by a schedule", "schedule")
        self.skipped = self._counter("skipped", "Firings that made no job", "schedule")
        self.lateness = self._histogram(
            "firing_lateness_seconds",
            "From a fire time to the transaction that made its job; to wait for another job is not counted",
            _LATE,
        )
        self.due = self._counter("due", "Scheduled and retrying jobs that became queued")
        self.expired = self._counter("expired", "Jobs that ended failed, unclaimed past their expires_at")
        self.dispatched = self._counter("dispatched", "Messages published", "lane")
        self.rescued = self._counter("rescued", "Jobs taken back from dead workers", "state")
        self.reconciled = self._counter("reconciled", "Jobs whose message counts as lost", "rule")
        self.followed_up = self._counter("followed_up", "Ends of jobs that something followed from")
        self.failures = self._counter("failures", "Failed tries, outages included", "part")
        self.seconds = self._histogram("round_seconds", "Duration of a round", _ROUNDS, "round")
        self.agenda = self._histogram(
            "agenda_seconds", "How long the ledger took for the cheapest statement of a round", _ROUNDS
        )
        self.last = Gauge(
            "jobyard_beat_last_round_timestamp_seconds",
            "When a round that reached the ledger last ended",
            ["round"],
            registry=self.registry,
        )
        self.connections = Connections(self.registry)
        self._begin()

    def expect(self, kinds: Iterable[str], schedules: Iterable[str]) -> None:
        """Begin at 0 for what may be counted by these: else a first increase would not be seen.

        Args:
            kinds: of the catalog.
            schedules: of files.
        """
        self._kinds = frozenset(kinds)
        for kind in self._kinds:
            self.accepted.labels(kind)
            self._finished.labels(kind, State.FAILED.value)
        for schedule in (*schedules, ""):
            self.fired.labels(schedule)
            self.skipped.labels(schedule)

    def finished(self, kinds: Mapping[str, int], state: State) -> None:
        """Count jobs that ended without a worker's word, by their kinds."""
        for kind, count in kinds.items():
            self._finished.labels(kind if kind in self._kinds else "unknown", state.value).inc(count)

    def _begin(self) -> None:
        for state in (State.QUEUED, State.FAILED, State.CANCELLED):
            self.rescued.labels(state.value)
        for counter, values in (
            (self.dispatched, QUEUES),
            (self.reconciled, _RULES),
            (self.failures, _PARTS),
        ):
            for value in values:
                counter.labels(value)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"jobyard_beat_{name}", documentation, labels, registry=self.registry)

    def _histogram(
        self, name: str, documentation: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"jobyard_beat_{name}", documentation, labels, buckets=buckets, registry=self.registry
        )
