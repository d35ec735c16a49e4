"""What a beat counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one beat, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.fired = self._counter("fired", "Jobs made by a schedule", "schedule")
        self.due = self._counter("due", "Scheduled and retrying jobs that became queued")
        self.expired = self._counter("expired", "Jobs that ended failed, unclaimed past their expires_at")
        self.dispatched = self._counter("dispatched", "Messages published", "lane")
        self.rescued = self._counter("rescued", "Jobs taken back from dead workers", "state")
        self.reconciled = self._counter("reconciled", "Jobs whose message counts as lost", "rule")
        self.followed_up = self._counter("followed_up", "Ends of jobs that something followed from")
        self.failures = self._counter("failures", "Failed tries, outages included", "part")
        self.seconds = Histogram(
            "jobyard_beat_round_seconds", "Duration of a round", ["round"], registry=self.registry
        )
        self.last = Gauge(
            "jobyard_beat_last_round_timestamp_seconds",
            "When a round that reached the ledger last ended",
            ["round"],
            registry=self.registry,
        )

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"jobyard_beat_{name}", documentation, labels, registry=self.registry)
