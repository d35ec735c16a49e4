"""The mail server: greeted, encrypted and logged in as for a mail, but given none."""

import ssl
from collections.abc import Iterator

from ops.doctor.finding import Finding, guarded
from worker.adapters.mail.session import Session
from worker.adapters.mail.wire import Limit
from worker.contract.ports import Mailbox
from worker.settings import PREFIX, Settings, SmtpServer

_AWAY = f"see that it runs where {PREFIX}SMTP_URL says; mails wait, and are tried for hours"
_PATIENCE = 10.0  # seconds


def examine_mail(settings: Settings) -> Iterator[Finding]:
    """See whether the mail server would take a mail of ours."""
    yield from _examine_sender(settings.mail_from)
    server = settings.smtp_server
    if server is None:
        text = f"none: set {PREFIX}SMTP_URL, or `jobyard up`, which keeps mails in a sink of its own"
        yield Finding("mail server", good=False, text=text)
    else:
        yield from guarded("mail server", lambda: _examine_server(server), _AWAY)


def _examine_sender(sender: str) -> Iterator[Finding]:
    try:
        Mailbox.parse(sender)
    except ValueError as error:
        yield Finding("mail sender", good=False, text=f"{PREFIX}MAIL_FROM {error}")


def _examine_server(server: SmtpServer) -> Iterator[Finding]:
    Session.open(server, ssl.create_default_context(), Limit(_PATIENCE)).close()
    login = "" if server.user is None else f", as {server.user}"
    yield Finding("mail server", good=True, text=f"{server.scheme}://{server.host}:{server.port}{login}")
