"""The port `Mailer` over SMTP."""

import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from worker.adapters.mail.envelope import envelope
from worker.adapters.mail.message import compose, message_id
from worker.adapters.mail.replies import Reply, is_permanent, is_positive, refusal, translated
from worker.adapters.mail.session import Session, Stale
from worker.adapters.mail.wire import Limit
from worker.contract import Fatal
from worker.contract.ports import Mail, Mailbox, Sent
from worker.settings import PREFIX, Settings, SmtpServer

Check = Callable[[], None]


@dataclass(frozen=True)
class Letter:
    """A mail in its envelope."""

    sender: str
    recipients: Mapping[str, str]  # an address -> what the server is told
    message: bytes

    @property
    def utf8(self) -> bool:
        """Whether an address in or on it needs SMTPUTF8."""
        return not (self.message.isascii() and "".join([self.sender, *self.recipients.values()]).isascii())


class SmtpMailer:
    """Hands mails to the operator's mail server.

    Safe to share: each thread, or greenlet, keeps a connection of its own between two mails.
    """

    def __init__(self, settings: Settings, tls: ssl.SSLContext | None = None) -> None:
        """Connect to nobody yet: most workers send no mail.

        Args:
            settings: `smtp_url`, `mail_from` and `mail_max_bytes`.
            tls: whom to trust; unset: the authorities of the operating system.
        """
        self._settings = settings
        self._given_tls = tls
        self._local = threading.local()

    @property
    def max_bytes(self) -> int:
        """The operator's limit."""
        return self._settings.mail_max_bytes

    def send(self, mail: Mail, recipients: Sequence[Mailbox], timeout: float, check: Check) -> Sent:
        """Hand the mail over; see `Mailer`."""
        server = self._server
        letter = self._letter(mail, recipients)
        limit = Limit(timeout)
        with translated(server.host):
            replies = self._send(letter, server, limit, check)
        return _sent(message_id(mail, self._sender), replies)

    def close(self) -> None:
        """Hang up, for this thread."""
        if (kept := self._taken()) is not None:
            kept.close()

    def _send(self, letter: Letter, server: SmtpServer, limit: Limit, check: Check) -> dict[str, Reply]:
        kept = self._taken()
        if kept is not None and kept.begin(limit):
            with suppress(Stale):
                return self._deliver(letter, kept, check)
        elif kept is not None:
            kept.close()
        check()
        return self._deliver(letter, Session.open(server, self._tls, limit), check)

    def _deliver(self, letter: Letter, session: Session, check: Check) -> dict[str, Reply]:
        """What the server says of each recipient; the session is kept, or closed when in doubt."""
        try:
            replies = _transact(letter, session, check)
            kept = session.rest(reset=not any(is_positive(code) for code, _ in replies.values()))
        except BaseException:
            session.close()
            raise
        if kept:
            self._local.session = session
        else:
            session.close()
        return replies

    def _taken(self) -> Session | None:
        """The kept session, which from now on is the caller's to keep or to close."""
        session: Session | None = self._local.__dict__.pop("session", None)
        return session

    def _letter(self, mail: Mail, recipients: Sequence[Mailbox]) -> Letter:
        message = compose(mail, self._sender)
        if len(message) > self.max_bytes:
            raise Fatal(
                f"the mail has {len(message)} bytes with its attachments encoded, and at most"
                f" {self.max_bytes} may be sent ({PREFIX}MAIL_MAX_BYTES)"
            )
        addresses = {recipient.address: envelope(recipient) for recipient in recipients}
        return Letter(envelope(self._sender), addresses, message)

    @property
    def _server(self) -> SmtpServer:
        server = self._settings.smtp_server
        if server is None:
            raise Fatal(f"no mail server is configured: set {PREFIX}SMTP_URL")
        return server

    @property
    def _sender(self) -> Mailbox:
        try:
            return Mailbox.parse(self._settings.mail_from)
        except ValueError as error:
            raise Fatal(f"{PREFIX}MAIL_FROM {error}") from None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()  # takes tens of milliseconds


def _transact(letter: Letter, session: Session, check: Check) -> dict[str, Reply]:
    """One mail transaction (RFC 5321, section 3.3): the last reply about each recipient."""
    check()
    session.sender(letter.sender, len(letter.message), utf8=letter.utf8)
    replies = {}
    for address, told in letter.recipients.items():
        check()
        replies[address] = session.recipient(told)
    taken = [address for address, (code, _) in replies.items() if is_positive(code)]
    if taken:
        check()
        replies |= dict.fromkeys(taken, session.content(letter.message))
    return replies


def _sent(identifier: str, replies: Mapping[str, Reply]) -> Sent:
    delivered, refused, put_off = [], [], []
    for address, reply in replies.items():
        if is_positive(reply[0]):
            delivered.append(address)
        elif is_permanent(reply[0]):
            refused.append(refusal(address, reply))
        else:
            put_off.append(refusal(address, reply))
    return Sent(
        message_id=identifier, delivered=tuple(delivered), refused=tuple(refused), put_off=tuple(put_off)
    )
