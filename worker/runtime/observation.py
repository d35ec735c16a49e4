"""What a worker lets others see: its log lines, and its metrics on a port of their own."""

import logging
import os
from pathlib import Path
from typing import Any

from celery.worker.consumer import consumer
from prometheus_client import CollectorRegistry

from worker import logs, pulse, tallies
from worker.settings import Settings


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


def shown(registry: CollectorRegistry) -> CollectorRegistry:
    """The metrics of this process, or of all that share its multiprocess folder."""
    folder = os.environ.get(tallies.FOLDER)
    if not folder:
        return registry
    shared = CollectorRegistry()
    tallies.Shared(shared, Path(folder))
    return shared
