"""The composition root of the workers under test: the real runtime, the probes, and `email.send`."""

import os

from tests.smoke import deafness, grace
from tests.smoke.probes import CATALOG, Greeter
from worker.adapters.mail import SmtpMailer
from worker.contract.ports import Mailer, Templates
from worker.runtime.app import create_app
from worker.settings import Settings


class Polite:
    """An adapter."""

    def greet(self, name: str) -> str:
        return f"Good day, {name}"


grace.shorten(os.environ)
deafness.prepare()
app = create_app(
    Settings.from_environment(os.environ),
    CATALOG,
    {
        Greeter: lambda _: Polite(),
        Mailer: lambda given: SmtpMailer(given.settings),
        Templates: lambda _: None,  # no mail is made from one here
    },
)
