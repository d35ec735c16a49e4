"""One connection to the mail server: opened, greeted, encrypted, logged in, and good for many mails."""

import re
import smtplib
import socket
import ssl
import time
from typing import Any, Self, cast

from urllib3.util.ssltransport import SSLTransport

from worker.adapters.mail.replies import Reply, failure, is_positive
from worker.adapters.mail.wire import Limit, Wire, connect
from worker.contract import Fatal, Retryable
from worker.settings import SmtpServer

FRESH = 5.0  # seconds after its last use for which a connection is taken to stand
ECHO = 5.0  # seconds that the server has to show that one still stands
TOO_MANY = 552
CLOSING = 421  # it says so, and hangs up (RFC 5321, section 3.8)


class Stale(Exception):  # noqa: N818 - no error: the server had enough of a connection that it was used to
    """The server ended a kept connection before it took anything of this mail."""


class Session:
    """A conversation with the mail server; whoever uses it bounds its time first, with `begin`."""

    def __init__(self, smtp: smtplib.SMTP, wire: Wire) -> None:
        self._smtp = smtp
        self._wire = wire
        self._used: float | None = None  # monotonic; None: never

    @classmethod
    def open(cls, server: SmtpServer, tls: ssl.SSLContext, limit: Limit) -> Self:
        """Connect, say who is there, encrypt and log in as the server's URL asks for.

        Raises:
            Fatal, Retryable: the server does not want us.
            OSError, smtplib.SMTPException: something broke.
        """
        wire = connect(server.host, server.port, limit)
        session = cls(smtplib.SMTP(local_hostname=_own_name(wire)), wire)  # which connects to no host itself
        try:
            session._start(server, tls)
        except BaseException:
            session.close()
            raise
        return session

    def close(self) -> None:
        """Hang up."""
        self._smtp.close()
        self._wire.close()

    def begin(self, limit: Limit) -> bool:
        """Whether the connection still stands; from here on it keeps to this limit."""
        self._wire.limit = limit
        if self._used is None or time.monotonic() - self._used < FRESH:
            return True
        return self._stands("noop")

    def sender(self, address: str, size: int, *, utf8: bool) -> None:
        """Begin a mail of so many bytes.

        Raises:
            Stale: the connection was kept, and the server has ended it.
            Fatal: the server cannot take such a mail, or refuses the sender.
            Retryable: it takes none now.
        """
        self._check_fit(size, utf8=utf8)
        options = [f"SIZE={size}"] if self._smtp.has_extn("size") else []
        options += ["SMTPUTF8", "BODY=8BITMIME"] if utf8 else []
        try:
            reply = self._smtp.mail(address, options)
        except smtplib.SMTPServerDisconnected:
            if self._used is None:
                raise
            raise Stale from None
        if reply[0] == CLOSING and self._used is not None:
            raise Stale
        if not is_positive(reply[0]):
            raise failure("refused the sender" if reply[0] != CLOSING else "closes the connection", reply)

    def recipient(self, address: str) -> Reply:
        """Name one recipient.

        Raises:
            Retryable: the server hangs up.
        """
        reply = self._smtp.rcpt(address)
        if reply[0] == CLOSING:
            raise failure("closes the connection", reply)
        # An old server's word for too many at once, which is no word about this one (section 4.5.3.1.10).
        return (452, reply[1]) if reply[0] == TOO_MANY else reply

    def content(self, message: bytes) -> Reply:
        """Send the mail to the recipients that were taken; positive once the server answers for it."""
        reply = self._smtp.docmd("data")
        if reply[0] != 354:  # noqa: PLR2004 - RFC 5321, section 4.2.3
            return reply
        self._smtp.send(re.sub(rb"(?m)^\.", b"..", message) + b".\r\n")
        # From here on silence is no reason to leave: the mail may be delivered, and would be sent again
        # (RFC 5321, section 4.5.3.2.6, asks for ten minutes).
        self._wire.limit.patience = float("inf")
        return self._smtp.getreply()

    def rest(self, *, reset: bool) -> bool:
        """Whether the connection is good for another mail, after a reset where this one was not taken."""
        self._used = time.monotonic()
        return not reset or self._stands("rset")

    def _stands(self, command: str) -> bool:
        """Whether the server answers a command that every server takes, and soon."""
        limit = self._wire.limit
        limit.patience, patience = ECHO, limit.patience
        try:
            return is_positive(self._smtp.docmd(command)[0])
        except (OSError, smtplib.SMTPException, Retryable):
            return False
        finally:
            limit.patience = patience

    def _start(self, server: SmtpServer, tls: ssl.SSLContext) -> None:
        smtp, encryption = self._smtp, _Encryption(tls, server.host)
        smtp.sock = encryption.wrap_socket(self._wire) if server.scheme == "smtps" else self._wire
        _greet(smtp)
        if server.scheme == "smtp+starttls":
            smtp.starttls(context=cast("ssl.SSLContext", encryption))
            smtp.ehlo_or_helo_if_needed()
        if server.user is not None and server.password is not None:
            _log_in(smtp, server.user, server.password)

    def _check_fit(self, size: int, *, utf8: bool) -> None:
        announced = self._smtp.esmtp_features.get("size", "")
        if announced.isdecimal() and 0 < int(announced) < size:
            raise Fatal(f"the mail has {size} bytes, and the mail server takes at most {announced}")
        if utf8 and not self._smtp.has_extn("smtputf8"):
            raise Fatal(
                "an address has characters beyond ASCII before its @, and the mail server does not take such"
                " addresses (SMTPUTF8, RFC 6531)"
            )


class _Encryption:
    """Stands in for an `SSLContext`: its TLS passes through the wire, whose limit holds for it too."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._context = context
        self._host = host

    def wrap_socket(self, sock: socket.socket, server_hostname: str = "") -> Any:  # noqa: ARG002 - smtplib's
        return SSLTransport(sock, self._context, self._host)


def _greet(smtp: smtplib.SMTP) -> None:
    reply = smtp.getreply()
    if reply[0] != 220:  # noqa: PLR2004 - RFC 5321, section 4.3.2
        raise failure("does not serve us", reply)
    smtp.ehlo_or_helo_if_needed()


def _log_in(smtp: smtplib.SMTP, user: str, password: str) -> None:
    try:
        smtp.login(user, password)
    except smtplib.SMTPAuthenticationError as error:
        said = error.smtp_error if isinstance(error.smtp_error, bytes) else error.smtp_error.encode()
        raise failure("refused the login", (error.smtp_code, said)) from None


def _own_name(wire: Wire) -> str:
    """What to say hello with (RFC 5321, section 4.1.4), found without asking a name server."""
    name = socket.gethostname()
    if "." in name and re.fullmatch(r"[A-Za-z0-9.-]+", name):
        return name
    address: str = wire.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
