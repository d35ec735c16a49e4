"""The variables of the environment, and what is installed."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import version

from ops.doctor.finding import Finding
from worker.settings import unknown_variables

_NAMED = ("celery", "kombu", "redis", "psycopg2-binary", "SQLAlchemy", "falcon", "gunicorn")


def examine_environment() -> Iterator[Finding]:
    """Find misspelt variables, and tell the versions that a report of a fault should name."""
    versions = ", ".join(f"{name} {version(name)}" for name in _NAMED)
    yield Finding("versions", good=True, text=f"Python {platform.python_version()}, {versions}")
    unknown = unknown_variables(os.environ)
    advice = f"no such settings: {', '.join(unknown)}; `jobyard settings` lists them"
    yield Finding("settings", not unknown, advice if unknown else "all known")
