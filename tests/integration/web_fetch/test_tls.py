"""TLS: always verified."""

import shutil
import socket
import ssl

import pytest

from tests.integration.web_fetch.client import LOOPBACK, fetch, resolving
from tests.integration.web_fetch.servers import WebServer, certificates, head, listening, page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Fatal, Retryable


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    return certificates(tmp_path_factory.mktemp("tls"), "DNS:good.test,IP:127.0.0.1")


@pytest.fixture(scope="module")
def trusting(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> GuardedFetcher:
    """Trusts the authority of the tests."""
    return GuardedFetcher(LOOPBACK, "test/1", tls[1])


@pytest.mark.parametrize("host", ["good.test", "GOOD.test.", "127.0.0.1"])
def test_a_verified_server_is_spoken_to_by_its_name(
    trusting: GuardedFetcher,
    tls: tuple[ssl.SSLContext, ssl.SSLContext],
    monkeypatch: pytest.MonkeyPatch,
    host: str,
) -> None:
    names: list[str | None] = []
    tls[0].sni_callback = lambda _socket, name, _context: names.append(name)
    body = bytes(range(256)) * 1000
    with web_server(lambda _: page(200, body), tls=tls[0]) as server:
        resolving(monkeypatch, ["127.0.0.1"])
        assert fetch(trusting, f"https://{host}:{server.port}/")[1] == body
    assert server.requests[0].headers["host"] == f"{host.lower().rstrip('.')}:{server.port}"
    assert names == [None if host == "127.0.0.1" else "good.test"]


def test_a_certificate_for_another_name_is_fatal(
    trusting: GuardedFetcher, tls: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(lambda _: page(), tls=tls[0]) as server:
        resolving(monkeypatch, ["127.0.0.1"])
        with pytest.raises(Fatal, match=r"certificate of bad\.test is not valid: Hostname mismatch"):
            fetch(trusting, f"https://bad.test:{server.port}/")
    assert not server.requests


def test_a_certificate_of_nobody_is_fatal(
    fetcher: GuardedFetcher, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with (
        web_server(lambda _: page(), tls=tls[0]) as server,
        pytest.raises(Fatal, match=r"certificate of 127\.0\.0\.1 is not valid"),
    ):
        fetch(fetcher, server.url)
    assert not server.requests


def test_a_server_without_tls_is_retried(fetcher: GuardedFetcher) -> None:
    def plain(_: WebServer, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(page(400))

    with (
        listening(plain, scheme="https") as server,
        pytest.raises(Retryable, match=r"TLS with 127\.0\.0\.1 failed"),
    ):
        fetch(fetcher, server.url)


@pytest.mark.parametrize("abrupt", [True, False])
def test_over_tls_only_a_proper_end_completes_a_body_without_a_length(
    trusting: GuardedFetcher, tls: tuple[ssl.SSLContext, ssl.SSLContext], *, abrupt: bool
) -> None:
    with web_server(lambda _: head() + b"hello", tls=tls[0], abrupt=abrupt) as server:
        if abrupt:
            with pytest.raises(Retryable, match="TLS with"):
                fetch(trusting, server.url)
        else:
            assert fetch(trusting, server.url)[1] == b"hello"


def test_credentials_do_not_leave_tls(
    trusting: GuardedFetcher, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    with web_server(lambda _: page()) as plain:
        moved = page(302, b"", f"Location: {plain.url}")
        with web_server(lambda _: moved, tls=tls[0]) as server:
            fetch(trusting, server.url, headers={"Authorization": "Bearer hush"})
    assert server.requests[0].headers["authorization"] == "Bearer hush"
    assert "authorization" not in plain.requests[0].headers
