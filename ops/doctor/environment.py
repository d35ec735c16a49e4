"""The variables of the environment."""

import os
from collections.abc import Iterator

from ops.doctor.finding import Finding
from worker.settings import unknown_variables


def examine_environment() -> Iterator[Finding]:
    """Find misspelt variables."""
    unknown = unknown_variables(os.environ)
    advice = f"no such settings: {', '.join(unknown)}; `jobyard settings` lists them"
    yield Finding("settings", not unknown, advice if unknown else "all known")
