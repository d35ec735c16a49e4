import os
import resource
import smtplib
import socket
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest

from ops.embedded.ports import is_open
from ops.mail.reading import read
from tests.integration.mail_sink.process import SinkProcess

MAIL = b"From: from@example.org\r\nTo: to@example.org\r\nSubject: hello\r\n\r\nfirst\r\n.dot\r\nlast\r\n"


def test_a_mail_is_stored_as_it_came_behind_its_envelope(sink: SinkProcess) -> None:
    sink.send(MAIL, "to@example.org", "bcc@example.org")
    (stored,) = sink.folder.iterdir()
    assert stored.read_bytes().endswith(b"\r\n" + MAIL)
    mail = read(stored)
    assert mail.sender == "from@example.org"
    assert mail.recipients == ("to@example.org", "bcc@example.org")


def test_its_owner_alone_can_read_it(sink: SinkProcess) -> None:
    sink.send(MAIL)
    (stored,) = sink.folder.iterdir()
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    assert stat.S_IMODE(sink.folder.stat().st_mode) == 0o700


def test_the_names_of_the_files_sort_as_the_mails_came(sink: SinkProcess) -> None:
    with sink.client() as client:
        for number in range(20):
            client.sendmail("from@example.org", "to@example.org", f"Subject: {number}\r\n\r\n")
    assert [mail.split(b"Subject: ")[1].strip() for mail in sink.mails()] == [b"%d" % n for n in range(20)]


def test_addresses_and_text_beyond_ascii_are_taken(sink: SinkProcess) -> None:
    with sink.client() as client:
        client.ehlo()
        assert client.has_extn("smtputf8")
        assert client.has_extn("8bitmime")
        client.sendmail(
            "grün@example.org", ["empfänger@exämple.org"], "Subject: Grüße\r\n\r\nÄ\r\n".encode(),
            mail_options=["SMTPUTF8", "BODY=8BITMIME"],
        )  # fmt: skip
    (path,) = sink.folder.iterdir()
    mail = read(path)
    assert (mail.sender, mail.recipients) == ("grün@example.org", ("empfänger@exämple.org",))
    assert mail.header("Subject") == "Grüße"


def test_a_mail_beyond_the_limit_is_refused_whether_its_size_is_announced_or_not(
    start: Callable[..., SinkProcess],
) -> None:
    sink = start(JOBYARD_MAIL_MAX_BYTES="1000000")
    largest = b"Subject: large\r\n\r\n" + b"x" * 998 + b"\r\n"
    with sink.client() as client:
        client.ehlo()
        limit = int(client.esmtp_features["size"])
        assert limit > 1000000  # with room for what a client adds
        large = largest * (limit // len(largest) + 1)
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            client.sendmail("from@example.org", "to@example.org", large)
        assert refused.value.smtp_code == 552
        client.mail("from@example.org")  # and says nothing of its size
        client.rcpt("to@example.org")
        assert client.data(large)[0] == 552
        client.sendmail("from@example.org", "to@example.org", largest * (1000000 // len(largest)))
    assert len(sink.mails()) == 1


def test_nobody_beyond_loopback_reaches_it(sink: SinkProcess) -> None:
    assert is_open(sink.port, "127.0.0.1")
    assert not is_open(sink.port, "127.0.0.2")


def test_without_room_a_mail_is_put_off_and_the_next_one_that_fits_is_stored(sink: SinkProcess) -> None:
    resource.prlimit(sink.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    with sink.client() as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail("from@example.org", "to@example.org", MAIL + b"x\r\n" * 100_000)
        assert refused.value.smtp_code == 452
        assert list(sink.folder.iterdir()) == []
        client.sendmail("from@example.org", "to@example.org", MAIL)
    assert len(sink.mails()) == 1


def test_a_folder_that_is_gone_puts_a_mail_off(sink: SinkProcess) -> None:
    sink.folder.rmdir()
    with pytest.raises(smtplib.SMTPDataError) as refused:
        sink.send(MAIL)
    assert refused.value.smtp_code == 451
    assert str(sink.home).encode() not in refused.value.smtp_error


@pytest.mark.parametrize(
    ("sender", "content"),
    [
        (b"a@b", b" , more@example.org\r\nSubject: x\r\n\r\n"),
        (b"a@b", b"X-Envelope-To: more@example.org\r\n\r\n"),
        (b"a@b", b"\r\nX-Envelope-To: more@example.org\r\n"),
        (b"a\rX-Envelope-To: more@b", b"Subject: x\r\n\r\n"),
        (b'"a\rX-Envelope-To: more"@b', b"Subject: x\r\n\r\n"),
        (b"=?utf-8?q?more?=@b", b"Subject: x\r\n\r\n"),
        (b"\xff\x85@b", b"Subject: x\r\n\r\n"),
    ],
)
def test_no_mail_can_pretend_to_have_gone_to_more(sink: SinkProcess, sender: bytes, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", sink.port), timeout=30) as client:
        replies = client.makefile("rb")
        replies.readline()
        for line in (b"HELO me", b"MAIL FROM:<" + sender + b">", b"RCPT TO:<to@example.org>", b"DATA"):
            client.sendall(line + b"\r\n")
            replies.readline()
        client.sendall(content + b".\r\nQUIT\r\n")
        replies.read()
    for path in sink.folder.iterdir():
        assert read(path).recipients == ("to@example.org",)
        assert b"\r" not in path.read_bytes().split(b"\r\n")[0]


def test_neither_addresses_nor_subjects_reach_the_log(sink: SinkProcess) -> None:
    sink.send(MAIL, "secret@example.org", sender="hidden@example.org")
    log = sink.log()
    assert "mail stored" in log
    assert not [word for word in ("secret", "hidden", "hello", "example.org") if word in log]


def test_a_port_that_is_taken_is_told_with_status_1(sink: SinkProcess) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "ops", "mail-sink"],
        env={**os.environ, "JOBYARD_HOME": str(sink.home), "JOBYARD_MAIL_PORT": str(sink.port)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "address already in use" in second.stderr
    assert "Traceback" not in second.stderr
    sink.send(MAIL)
