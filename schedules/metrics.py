"""What a beat counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one beat, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # The label names schedules of files; those of clients have none in common but "".
        self.fired = self._counter("fired", "Jobs made by a schedule", "schedule")
        self.skipped = self._counter("skipped", "Firings that made no job", "schedule")
        self.lateness = Histogram(
            "jobyard_beat_lateness_seconds",
            "From a fire time to the transaction that makes its job, but for what was missed",
            buckets=(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0),
            registry=self.registry,
        )
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
