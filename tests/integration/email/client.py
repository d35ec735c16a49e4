"""The mailer as tests call it."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from worker.adapters.mail import SmtpMailer
from worker.contract.ports import Content, Mail, Mailbox, Sent
from worker.settings import Settings

JOB = "0190a7c0-0000-7000-8000-000000000000"
SENDER = "Jobyard <jobyard@example.org>"


def mail_to(*to: str, **fields: Any) -> Mail:
    """A small mail."""
    defaults: dict[str, Any] = {
        "id": JOB,
        "date": datetime(2026, 11, 3, 9, tzinfo=UTC),
        "content": Content(subject="Hello", text="Hello,\n\n.a line with a dot\n"),
    }
    return Mail(to=[Mailbox.parse(address) for address in to], **(defaults | fields))


def send(
    mailer: SmtpMailer,
    *to: str,
    timeout: float = 20.0,
    check: Callable[[], None] = lambda: None,
    **fields: Any,
) -> Sent:
    """Mail these."""
    mail = mail_to(*to, **fields)
    return mailer.send(mail, mail.to, timeout, check)


@contextmanager
def mailing(
    port: int, scheme: str = "smtp", login: str = "", tls: ssl.SSLContext | None = None, **settings: Any
) -> Iterator[SmtpMailer]:
    """A mailer for a server on loopback, whose connection is closed in the end."""
    url = f"{scheme}://{login}127.0.0.1:{port}"
    environment = {"JOBYARD_SMTP_URL": url, "JOBYARD_MAIL_FROM": SENDER}
    environment |= {f"JOBYARD_{name.upper()}": str(value) for name, value in settings.items()}
    mailer = SmtpMailer(Settings.from_environment(environment), tls)
    try:
        yield mailer
    finally:
        mailer.close()
