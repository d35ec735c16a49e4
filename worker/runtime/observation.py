"""What a worker lets others see: its log lines, and its metrics on a port of their own."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
from celery.worker.consumer import consumer
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from worker import logs, pulse
from worker.settings import Settings

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own variable


class Observation:
    """Begins when Celery says so."""

    def __init__(self, settings: Settings, page: pulse.Page) -> None:
        self._settings = settings
        self._page = page

    def begin_logs(self, role: str) -> None:
        """Send this process's lines to the role's file."""
        logs.set_up(self._settings, role)
        logging.getLogger(consumer.__name__).addFilter(_needed)

    def begin_metrics(self) -> None:
        """Serve the metrics and the pulse."""
        pulse.serve(self._page, self._settings.metrics_host, self._settings.metrics_port)


# What Celery says of a message that it drops, body and traceback and all; ours (`message_dropped`) is a line.
_celery: Any = consumer  # its stub leaves them out
_SAID_BETTER = (
    _celery.UNKNOWN_FORMAT,
    _celery.UNKNOWN_TASK_ERROR,
    _celery.INVALID_TASK_ERROR,
    _celery.MESSAGE_DECODE_ERROR,
)


def _needed(record: logging.LogRecord) -> bool:
    return record.msg not in _SAID_BETTER


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


def shown(registry: CollectorRegistry) -> CollectorRegistry:
    """The metrics of this process, or of all that share its multiprocess folder."""
    if not os.environ.get(_FOLDER):
        return registry
    shared = CollectorRegistry()
    _Living(shared)
    return shared
