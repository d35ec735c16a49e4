"""What a worker lets others see: its log lines, and its metrics on a port of their own."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil
from loguru import logger
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from worker import logs
from worker.settings import Settings

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own variable


class Observation:
    """Begins when Celery says so."""

    def __init__(self, settings: Settings, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._registry = registry

    def begin_logs(self, role: str) -> None:
        """Send this process's lines to the role's file."""
        logs.set_up(self._settings, role)

    def begin_metrics(self) -> None:
        """Serve the metrics; that the port answers means that the worker is ready."""
        _serve(self._settings, self._registry)


class _Living(MultiProcessCollector):
    """Collects from the processes that share a folder, without the gauges of those that died."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)  # type: ignore[no-untyped-call]
        self._folder = Path(os.environ[_FOLDER])

    def collect(self) -> Iterable[Metric]:
        """A child that was killed could not take its own values away."""
        for file in self._folder.glob("gauge_live*_*.db"):
            pid = int(file.stem.rpartition("_")[2])
            if not psutil.pid_exists(pid):
                mark_process_dead(pid, str(self._folder))  # type: ignore[no-untyped-call]
        metrics: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
        return metrics


def _serve(settings: Settings, registry: CollectorRegistry) -> None:
    """Serve the metrics of this process, or of all that share its multiprocess folder."""
    shown = registry
    if os.environ.get(_FOLDER):
        shown = CollectorRegistry()
        _Living(shown)
    try:
        start_http_server(settings.metrics_port, addr=settings.metrics_host, registry=shown)
    except OSError as error:
        logger.warning("metrics_unserved", port=settings.metrics_port, error=str(error))
