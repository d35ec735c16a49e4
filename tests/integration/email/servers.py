"""Mail servers on loopback: aiosmtpd, which keeps what it takes, and one that says what it is told to."""

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from ops.embedded.ports import free_ports
from tests.integration.web_fetch.servers import WebServer, listening

GREETING = "<greeting>"  # stands for what a server says first
MAIL = "<mail>"  # stands for a mail that was sent whole
HANG_UP = ""


@dataclass(frozen=True)
class Delivered:
    """A mail as its server got it."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    options: tuple[str, ...]
    user: str | None


class Sink:
    """Takes every mail."""

    def __init__(self) -> None:
        self.mails: list[Delivered] = []

    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        login: Any = session.auth_data
        self.mails.append(
            Delivered(
                sender=envelope.mail_from or "",
                recipients=tuple(envelope.rcpt_tos),
                content=envelope.original_content or b"",
                options=tuple(envelope.mail_options),
                user=login.login.decode() if login else None,
            )
        )
        return "250 2.0.0 taken"


@contextmanager
def sink(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[tuple[Sink, int]]:
    """A real server: what it takes, and its port; `tls` for encryption from the first byte on."""
    handler = Sink()
    (port,) = free_ports(1)
    controller = Controller(
        handler, hostname="127.0.0.1", port=port, ssl_context=tls, ready_timeout=60.0, **options
    )
    controller.start()
    try:
        yield handler, port
    finally:
        controller.stop()


def only(password: str) -> Any:
    """An authenticator that wants this password of everybody."""

    def authenticate(*given: Any) -> AuthResult:
        login = given[4]
        right = login.password == password.encode()
        return AuthResult(success=right, handled=False, auth_data=login)

    return authenticate


@dataclass
class Scripted:
    """A server's part, by what it answers to."""

    answers: Mapping[str, list[str]]  # beginning of a command -> replies, each given once
    extensions: tuple[str, ...]
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)  # the commands that got their reply
    heard: threading.Condition = field(default_factory=threading.Condition)

    def reply(self, command: str) -> str:
        """What is said to a command."""
        for beginning, replies in self.answers.items():
            if command.startswith(beginning) and replies:
                return replies.pop(0)
        if command.startswith("ehlo"):
            return "\r\n".join([*(f"250-{line}" for line in ("here", *self.extensions)), "250 8BITMIME"])
        return {GREETING: "220 here", "data": "354 go on", "quit": "221 bye"}.get(command, "250 2.0.0 fine")

    def serve(self, connection: socket.socket) -> None:
        """Talk over one connection until one of the two has enough."""
        self.connections += 1
        with connection.makefile("rb") as stream:
            heard = GREETING
            while heard:
                with self.heard:
                    self.commands.append(heard)
                    self.heard.notify_all()
                if (said := self.reply(heard)) == HANG_UP:
                    return
                connection.sendall(said.encode() + b"\r\n")
                self.answered.append(heard)
                if heard == "data" and said.startswith("354"):
                    self.mails.append(_until_the_dot(stream))
                    heard = MAIL
                else:
                    heard = stream.readline().decode(errors="replace").rstrip()

    def count(self, beginning: str) -> int:
        """How often a command was heard."""
        return sum(command.startswith(beginning) for command in self.commands)


@contextmanager
def scripted(answers: Mapping[str, list[str]] | None = None, *extensions: str) -> Iterator[Scripted]:
    """Run a scripted server."""
    server = Scripted(answers or {}, extensions or ("SIZE 1000000",))

    def serve(_: WebServer, connection: socket.socket) -> None:
        connection.settimeout(30)
        server.serve(connection)

    with listening(serve) as listener:
        server.port = listener.port
        yield server


def _until_the_dot(stream: Any) -> bytes:
    lines = []
    while (line := stream.readline()) not in {b".\r\n", b""}:
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)
