"""TLS and logins, against a real server."""

import shutil
import socket
import ssl
from typing import Any

import pytest

from tests.integration.email.client import mailing, send
from tests.integration.email.servers import GREETING, only, scripted, sink
from tests.integration.web_fetch.servers import certificates, listening
from worker.contract import Fatal, Retryable

Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    """A server's context, and one that trusts its authority."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    return certificates(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory, tls: Contexts) -> Contexts:  # noqa: ARG001 - skips
    """The same for a server of another name."""
    return certificates(tmp_path_factory.mktemp("elsewhere"), "DNS:elsewhere.test")


def offering(scheme: str, server: ssl.SSLContext) -> dict[str, Any]:
    if scheme == "smtps":
        return {"tls": server}
    return {"tls_context": server, "require_starttls": True}


both = pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])


@both
def test_a_mail_goes_encrypted(scheme: str, tls: Contexts) -> None:
    with sink(**offering(scheme, tls[0])) as (taken, port), mailing(port, scheme, tls=tls[1]) as mailer:
        assert send(mailer, "ada@example.org").delivered
        assert send(mailer, "bob@example.org").delivered
    assert [mail.recipients for mail in taken.mails] == [("ada@example.org",), ("bob@example.org",)]


@both
def test_a_certificate_of_nobody_is_fatal(scheme: str, tls: Contexts) -> None:
    with (
        sink(**offering(scheme, tls[0])) as (taken, port),
        mailing(port, scheme) as mailer,
        pytest.raises(Fatal, match=r"certificate of the mail server 127\.0\.0\.1 is not valid"),
    ):
        send(mailer, "ada@example.org")
    assert not taken.mails


@both
def test_a_certificate_for_another_name_is_fatal(scheme: str, elsewhere: Contexts) -> None:
    server, trusting = elsewhere
    with (
        sink(**offering(scheme, server)) as (taken, port),
        mailing(port, scheme, tls=trusting) as mailer,
        pytest.raises(Fatal, match="not valid: IP address mismatch"),
    ):
        send(mailer, "ada@example.org")
    assert not taken.mails


def test_a_server_without_starttls_gets_neither_password_nor_mail(tls: Contexts) -> None:
    with (
        scripted({}, "AUTH PLAIN") as server,
        mailing(server.port, "smtp+starttls", "joe:hush@", tls=tls[1]) as mailer,
        pytest.raises(Fatal, match="cannot be used: STARTTLS extension not supported"),
    ):
        send(mailer, "ada@example.org")
    assert [command.split()[0] for command in server.commands] == [GREETING, "ehlo"]


def test_a_server_that_cannot_encrypt_now_is_retried(tls: Contexts) -> None:
    with (
        scripted({"STARTTLS": ["454 4.7.0 not now"]}, "STARTTLS") as server,
        mailing(server.port, "smtp+starttls", tls=tls[1]) as mailer,
        pytest.raises(Retryable, match=r"454 4\.7\.0 not now"),
    ):
        send(mailer, "ada@example.org")
    assert server.count("mail") == 0


def test_what_somebody_slips_in_before_the_encryption_is_not_heard(tls: Contexts) -> None:
    """What comes with the answer to STARTTLS is from whoever sits on the line (CVE-2011-0411)."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"220 here\r\n")
        connection.recv(65536)
        connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
        connection.recv(65536)
        connection.sendall(b"220 go on\r\n250-here\r\n250 AUTH PLAIN\r\n235 welcome\r\n")
        with tls[0].wrap_socket(connection, server_side=True) as secured:
            heard.append(secured.recv(65536))
            secured.sendall(b"250 here\r\n")
            heard.append(secured.recv(65536))

    heard: list[bytes] = []
    with (
        listening(lambda _, connection: answer(connection)) as server,
        mailing(server.port, "smtp+starttls", "joe:hush@", tls=tls[1]) as mailer,
        pytest.raises(Fatal, match="AUTH extension not supported"),
    ):
        send(mailer, "ada@example.org")
    assert heard[0].startswith(b"ehlo")
    assert heard[1:] == [b""]


@both
def test_a_login_is_percent_decoded(scheme: str, tls: Contexts) -> None:
    options = offering(scheme, tls[0]) | {"authenticator": only("p@ss: /w%")}
    options |= {"auth_require_tls": scheme != "smtps"}  # aiosmtpd knows of its own STARTTLS alone
    with (
        sink(**options) as (taken, port),
        mailing(port, scheme, "joe%40example.org:p%40ss%3A%20%2Fw%25@", tls=tls[1]) as mailer,
    ):
        assert send(mailer, "ada@example.org").delivered
    assert [mail.user for mail in taken.mails] == ["joe@example.org"]


def test_a_wrong_login_is_fatal_and_not_told(tls: Contexts) -> None:
    options = offering("smtp+starttls", tls[0]) | {"authenticator": only("right"), "auth_required": True}
    with (
        sink(**options) as (taken, port),
        mailing(port, "smtp+starttls", "joe:hush@", tls=tls[1]) as mailer,
        pytest.raises(Fatal, match="the mail server refused the login: 535") as caught,
    ):
        send(mailer, "ada@example.org")
    assert "hush" not in str(caught.value)
    assert not taken.mails


def test_a_login_that_the_server_cannot_check_now_is_retried() -> None:
    with (
        scripted({"AUTH": ["454 4.7.0 directory is away"]}, "AUTH PLAIN") as server,
        mailing(server.port, login="joe:hush@") as mailer,
        pytest.raises(Retryable, match=r"refused the login: 454 4\.7\.0 directory is away"),
    ):
        send(mailer, "ada@example.org")


@pytest.mark.parametrize("extension", ["SIZE", "AUTH GSSAPI"])
def test_a_server_without_a_login_that_we_know_is_fatal(extension: str) -> None:
    with (
        scripted({}, extension) as server,
        mailing(server.port, login="joe:hush@") as mailer,
        pytest.raises(Fatal, match=r"the mail server 127\.0\.0\.1 cannot be used"),
    ):
        send(mailer, "ada@example.org")


def test_a_server_without_tls_where_it_should_be_is_retried(tls: Contexts) -> None:
    with (
        scripted() as server,
        mailing(server.port, "smtps", tls=tls[1]) as mailer,
        pytest.raises(Retryable, match=r"TLS with the mail server 127\.0\.0\.1 failed"),
    ):
        send(mailer, "ada@example.org")
