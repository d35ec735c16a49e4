"""Servers that take their time."""

import socket
import ssl
import time
from collections.abc import Callable

import pytest

from tests.integration.email.client import mailing, send
from tests.integration.web_fetch.servers import WebServer, listening
from worker.adapters.mail import wire
from worker.contract import Retryable
from worker.contract.ports import Attachment

Serve = Callable[[WebServer, socket.socket], None]
OVER = "the time of this attempt is over|was silent for"


def silent(server: WebServer, _: socket.socket) -> None:
    server.stopping.wait()


def trickling(*replies: bytes) -> Serve:
    """Answer each command, and the last one a byte at a time."""

    def serve(server: WebServer, connection: socket.socket) -> None:
        for reply in replies[:-1]:
            connection.sendall(reply)
            connection.recv(65536)
        for byte in server.drip(replies[-1]):
            connection.sendall(byte)

    return serve


@pytest.mark.parametrize(
    "serve",
    [
        pytest.param(silent, id="silence"),
        pytest.param(trickling(b"220-" + b"x" * 999), id="greeting"),
        pytest.param(trickling(b"220-x\r\n" * 99), id="endless greeting"),
        pytest.param(trickling(b"220 x\r\n", b"250-x\r\n" * 99), id="extensions"),
        pytest.param(trickling(b"220 x\r\n", b"250 x\r\n", b"250 " + b"x" * 999), id="answer"),
        pytest.param(
            trickling(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", b"2" * 999),
            id="answer to the mail",
        ),
    ],
)
def test_a_server_that_takes_its_time_is_left_when_that_is_over(serve: Serve) -> None:
    started = time.monotonic()
    with listening(serve) as server, mailing(server.port) as mailer, pytest.raises(Retryable, match=OVER):
        send(mailer, "ada@example.org", timeout=0.6)
    assert 0.6 <= time.monotonic() - started < 10


def test_a_tls_handshake_keeps_to_the_time() -> None:
    started = time.monotonic()
    with (
        listening(trickling(b"\x16\x03\x03\x40\x00\x02" + bytes(16384))) as server,
        mailing(server.port, "smtps", tls=ssl.create_default_context()) as mailer,
        pytest.raises(Retryable, match=OVER),
    ):
        send(mailer, "ada@example.org", timeout=0.6)
    assert 0.6 <= time.monotonic() - started < 10


def test_a_server_that_does_not_read_is_left() -> None:
    def serve(server: WebServer, connection: socket.socket) -> None:
        for reply in (b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n"):
            connection.sendall(reply)
            if not reply.startswith(b"354"):
                connection.recv(65536)
        server.stopping.wait()

    large = Attachment(name="large", content_type="application/octet-stream", content=bytes(16 * 2**20))
    with listening(serve) as server, mailing(server.port) as mailer, pytest.raises(Retryable, match=OVER):
        send(mailer, "ada@example.org", timeout=3.0, attachments=[large])


def test_silence_is_not_borne_for_the_whole_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "PATIENCE", 0.3)
    with (
        listening(silent) as server,
        mailing(server.port) as mailer,
        pytest.raises(Retryable, match=r"the mail server was silent for 0\.3 s"),
    ):
        send(mailer, "ada@example.org", timeout=60)


def test_once_it_has_the_mail_a_server_may_take_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving would send the mail again, and it may have been delivered."""
    monkeypatch.setattr(wire, "PATIENCE", 1.5)

    def serve(server: WebServer, connection: socket.socket) -> None:
        for reply in (b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n"):
            connection.sendall(reply)
            connection.recv(65536)
        server.stopping.wait(3.0)
        connection.sendall(b"250 taken\r\n")

    with listening(serve) as server, mailing(server.port) as mailer:
        assert send(mailer, "ada@example.org", timeout=60).delivered
