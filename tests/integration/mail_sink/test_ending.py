import hashlib
import signal
import smtplib
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from ops.embedded.ports import is_open
from tests.awaiting import eventually
from tests.integration.mail_sink.process import SinkProcess

LINE = b"x" * 78 + b"\r\n"


def large(number: int) -> bytes:
    """A mail that takes a moment to write, and tells whether it is whole."""
    body = b"%d\r\n" % number + LINE * 200_000
    return b"Subject: " + hashlib.sha256(body).hexdigest().encode() + b"\r\n\r\n" + body


def is_whole(stored: bytes) -> bool:
    header, _, body = stored.partition(b"\r\n\r\n")
    return header.endswith(b"Subject: " + hashlib.sha256(body).hexdigest().encode())


def test_a_killed_sink_leaves_no_half_mail_and_the_next_one_clears_away_what_it_began(
    start: Callable[..., SinkProcess],
) -> None:
    confirmed = abandoned = 0
    for number in range(5):
        sink = start()
        assert not list(sink.folder.glob(".*"))
        confirmed += _killed_while_it_writes(sink, large(number))
        abandoned += bool(list(sink.folder.glob(".*")))
        assert all(map(is_whole, sink.mails()))
        assert len(sink.mails()) >= confirmed
    assert abandoned  # it was hit in the middle at least once
    start().send(large(9))


def _killed_while_it_writes(sink: SinkProcess, mail: bytes) -> int:
    """Kill it as soon as a file is begun; how many mails it said to have stored."""
    confirmed = []

    def send() -> None:
        with suppress(OSError, smtplib.SMTPException):
            sink.send(mail)
            confirmed.append(mail)

    before = set(sink.folder.iterdir())
    sender = threading.Thread(target=send)
    sender.start()
    while set(sink.folder.iterdir()) == before:
        assert sender.is_alive() or set(sink.folder.iterdir()) != before
    sink.process.kill()
    sender.join()
    sink.end()
    return len(confirmed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_mail_that_is_coming_in_is_stored_before_the_sink_ends(
    sink: SinkProcess, number: signal.Signals
) -> None:
    with sink.client() as client:
        client.helo()
        client.mail("from@example.org")
        client.rcpt("to@example.org")
        assert client.docmd("DATA")[0] == 354
        client.send("Subject: half\r\n\r\n")
        sink.process.send_signal(number)
        eventually(lambda: not is_open(sink.port))
        client.send("the other half\r\n.\r\n")
        assert client.getreply()[0] == 250
        assert sink.end() == 0
    (stored,) = sink.mails()
    assert stored.endswith(b"Subject: half\r\n\r\nthe other half\r\n")


def test_a_client_that_never_finishes_its_mail_does_not_keep_it(sink: SinkProcess) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=30) as client:
        client.sendall(b"HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nSubject: never\r\n")
        replies = client.makefile("rb")
        while not replies.readline().startswith(b"354"):
            pass
        sink.process.terminate()
        began = time.monotonic()
        assert sink.end() == 0
        assert time.monotonic() - began < 10
    assert sink.mails() == []


def test_a_client_that_only_waits_does_not_keep_it(sink: SinkProcess) -> None:
    with sink.client() as client:
        client.noop()
        sink.process.terminate()
        assert sink.process.stderr is not None
        assert sink.process.stderr.read() == ""
        assert sink.end() == 0
