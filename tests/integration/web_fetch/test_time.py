"""Servers that take their time, and many of them at once."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fakes import FakeContext
from tests.integration.web_fetch.client import fetch
from tests.integration.web_fetch.servers import Request, WebServer, head, listening, page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Cancelled, Retryable


def dripping_tls(server: WebServer, connection: socket.socket) -> None:
    connection.recv(65536)
    for byte in server.drip(b"\x16\x03\x03\x40\x00\x02" + bytes(16384)):
        connection.sendall(byte)


def dripping(*parts: bytes) -> Callable[[WebServer, socket.socket], None]:
    """Send all parts at once, but the last a byte at a time."""

    def serve(server: WebServer, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"".join(parts[:-1]))
        for byte in server.drip(parts[-1]):
            connection.sendall(byte)

    return serve


def silent(server: WebServer, _: socket.socket) -> None:
    server.stopping.wait()


@pytest.mark.parametrize(
    ("serve", "scheme"),
    [
        pytest.param(silent, "http", id="silence"),
        pytest.param(silent, "https", id="silence instead of TLS"),
        pytest.param(dripping_tls, "https", id="TLS handshake"),
        pytest.param(dripping(b"HTTP/1.1 200 " + b"x" * 999), "http", id="status line"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 99), "http", id="headers"),
        pytest.param(dripping(page(200, bytes(999))[:-999], bytes(999)), "http", id="body"),
        pytest.param(
            dripping(head("Transfer-Encoding: chunked"), b"1;" + b"x" * 999), "http", id="chunk size"
        ),
        pytest.param(dripping(head("Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 99), "http", id="chunks"),
        pytest.param(
            dripping(head("Transfer-Encoding: chunked"), b"0\r\n", b"A: b\r\n" * 99), "http", id="trailers"
        ),
        pytest.param(dripping(head(status=100) * 99), "http", id="interim answers"),
    ],
)
def test_a_server_that_takes_its_time_is_left(
    fetcher: GuardedFetcher, serve: Callable[[WebServer, socket.socket], None], scheme: str
) -> None:
    started = time.monotonic()
    with (
        listening(serve, scheme=scheme) as server,
        pytest.raises(Retryable, match=r"no complete answer within 0\.6 s"),
    ):
        fetch(fetcher, server.url, timeout=0.6)
    assert 0.6 <= time.monotonic() - started < 10


def test_a_server_that_does_not_read_is_left(fetcher: GuardedFetcher) -> None:
    with listening(silent) as server, pytest.raises(Retryable, match="no complete answer"):
        fetch(fetcher, server.url, method="POST", body=bytes(32 * 2**20), timeout=0.6)


def test_slow_redirects_share_one_limit(fetcher: GuardedFetcher) -> None:
    def slow(_: Request) -> Iterator[bytes]:
        server.stopping.wait(0.5)
        yield page(302, b"", "Location: /on")

    with web_server(slow) as server, pytest.raises(Retryable, match="no complete answer"):
        fetch(fetcher, server.url, timeout=2.0, max_redirects=20)
    assert 2 <= len(server.requests) <= 5


def test_a_name_server_that_does_not_answer_is_left(
    fetcher: GuardedFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and [])
    started = time.monotonic()
    with pytest.raises(Retryable, match="no complete answer"):
        fetch(fetcher, "http://slow.test/", timeout=0.5)
    answered.set()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("serve", [silent, dripping(b"HTTP/1.1 200 " + b"x" * 9999)])
def test_a_cancel_ends_the_wait(
    fetcher: GuardedFetcher, serve: Callable[[WebServer, socket.socket], None]
) -> None:
    ctx = FakeContext()
    with listening(serve) as server:

        def cancel_once_connected() -> None:
            ctx.cancelled = bool(server.connections)
            ctx.check_cancelled()

        started = time.monotonic()
        with pytest.raises(Cancelled):
            fetch(fetcher, server.url, cancel_once_connected, timeout=60)
    assert time.monotonic() - started < 10


def test_hundreds_are_fetched_at_once(fetcher: GuardedFetcher) -> None:
    everybody = threading.Barrier(200)

    def slow(_: Request) -> Iterator[bytes]:
        everybody.wait(60)
        yield page(200, b"hello")

    with web_server(slow) as server, ThreadPoolExecutor(200) as pool:
        bodies = pool.map(lambda _: fetch(fetcher, server.url, timeout=60)[1], range(200))
        assert list(bodies) == [b"hello"] * 200


GREENLETS = """
from gevent import monkey; monkey.patch_all()
import gevent, socket, time
from ipaddress import ip_network
from tests.integration.web_fetch.client import request_to
from worker.adapters.http import GuardedFetcher
from worker.contract import Retryable

def drip_tls(connection):
    connection.recv(65536)
    try:
        for byte in b"\\x16\\x03\\x03\\x40\\x00\\x02" + bytes(999):
            connection.sendall(bytes([byte]))
            gevent.sleep(0.05)
    except OSError:
        connection.close()

def accept(listener):
    while True:
        gevent.spawn(drip_tls, listener.accept()[0])

def fetch(url):
    try:
        with fetcher.fetch(request_to(url, timeout=0.6), lambda: None):
            return "answered"
    except Retryable as error:
        return str(error)

fetcher = GuardedFetcher([ip_network("127.0.0.0/8"), ip_network("::1/128")], "test/1")
listener = socket.create_server(("127.0.0.1", 0), backlog=99)
gevent.spawn(accept, listener)
started = time.monotonic()
url = "://localhost:" + str(listener.getsockname()[1])
fetching = gevent.joinall([gevent.spawn(fetch, scheme + url) for scheme in ["http", "https"] * 30])
outcomes = {one.value for one in fetching}
assert outcomes == {"no complete answer within 0.6 s"}, outcomes
assert time.monotonic() - started < 15, time.monotonic() - started
"""


def test_greenlets_keep_to_their_time_as_well() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", GREENLETS],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == 0, ran.stderr
