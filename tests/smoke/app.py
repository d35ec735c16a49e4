"""The composition root of the workers under test: the real runtime, with the probes for kinds."""

import os

from tests.smoke import grace
from tests.smoke.probes import CATALOG, Greeter
from worker.runtime.app import create_app
from worker.settings import Settings


class Polite:
    """An adapter."""

    def greet(self, name: str) -> str:
        return f"Good day, {name}"


grace.shorten(os.environ)
app = create_app(Settings.from_environment(os.environ), CATALOG, {Greeter: lambda _resources: Polite()})
