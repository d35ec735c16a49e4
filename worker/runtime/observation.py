"""What a worker lets others see: its log lines, and its metrics on a port of their own."""

import os

from loguru import logger
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from worker import logs
from worker.settings import Settings


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


def _serve(settings: Settings, registry: CollectorRegistry) -> None:
    """Serve the metrics of this process, or of all that share its multiprocess folder."""
    shown = registry
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        shown = CollectorRegistry()
        MultiProcessCollector(shown)  # type: ignore[no-untyped-call]
    try:
        start_http_server(settings.metrics_port, addr=settings.metrics_host, registry=shown)
    except OSError as error:
        logger.warning("metrics_unserved", port=settings.metrics_port, error=str(error))
