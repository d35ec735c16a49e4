"""The API's metrics, for Prometheus, over several processes (prometheus-client's multiprocess mode).

The processes write into files of one folder; gunicorn's master reads them and serves them on a port of
their own, where no client's key is asked for.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import mark_process_dead

from worker import tallies

# From a look-up by id to the longest `Prefer: wait`.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """What one process counts; the labels take values of ours only, never a client's text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        tallies.keep_room()
        self.requests = Histogram(
            "jobyard_api_request_seconds",
            "Requests and how long they took, waiting on the client's wish included.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.accepted = Counter("jobyard_jobs_accepted", "Jobs accepted.", ("kind",), registry=registry)
        self.waiters = Gauge(
            "jobyard_api_waiters",
            "Requests that wait for a job to end.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def expect(self, kinds: Iterable[str]) -> None:
        """Begin at 0 for these kinds: else a first increase would not be seen."""
        for kind in kinds:
            self.accepted.labels(kind)


def serve(host: str, port: int) -> int:
    """Serve the metrics of all processes from a thread of this one; returns the port.

    Raises:
        OSError: the port is taken.
    """
    registry = CollectorRegistry()
    tallies.Shared(registry, Path(os.environ[tallies.FOLDER]))
    server, _thread = start_http_server(port, host, registry)
    return server.server_port


def forget(pid: int) -> None:
    """Drop the gauges of a process that ended; what it counted stays."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]
