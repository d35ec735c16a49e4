"""Fetching a page: what is sent, what comes back, and what broken servers make of it."""

import gzip
import hashlib
import socket
import zlib
from collections.abc import Callable

import pytest

from tests.fakes import FakeContext
from tests.integration.web_fetch.client import fetch, request_to
from tests.integration.web_fetch.servers import Request, WebServer, head, listening, page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Fatal, Retryable
from worker.kinds.web.fetch import WebFetch
from worker.kinds.web.fetch import fetch as web_fetch


def test_a_page_is_fetched(fetcher: GuardedFetcher) -> None:
    answer = page(
        200, b"hello", "Content-Type: text/plain", "X-A: 1", "x-a: 2", "Set-Cookie: a=1, b", "Set-Cookie: c=2"
    )
    with web_server(lambda _: answer) as server:
        fetched, body = fetch(fetcher, f"{server.url}/a%20b?c=d#e")
    assert (fetched.status, body, fetched.redirects, fetched.retry_after) == (200, b"hello", 0, None)
    assert fetched.url == f"{server.url}/a%20b?c=d"
    assert fetched.headers == {
        "content-length": "5",
        "content-type": "text/plain",
        "x-a": "1, 2",
        "set-cookie": "a=1, b\nc=2",
    }
    assert server.requests == [
        Request(
            "GET",
            "/a%20b?c=d",
            {
                "host": server.authority,
                "user-agent": "test/1",
                "accept": "*/*",
                "accept-encoding": "gzip, deflate",
                "connection": "close",
            },
            b"",
        )
    ]


def test_a_body_and_headers_are_sent(fetcher: GuardedFetcher) -> None:
    with web_server(lambda request: page(201, request.body[::-1])) as server:
        fetched, body = fetch(
            fetcher,
            server.url,
            method="POST",
            body=b"\x00\x01" * 100_000,
            headers={"User-Agent": "mine", "X-Api-Key": "k"},
        )
    assert (fetched.status, body) == (201, b"\x01\x00" * 100_000)
    sent = server.requests[0].headers
    assert (sent["user-agent"], sent["x-api-key"], sent["content-length"]) == ("mine", "k", "200000")


def test_a_head_has_no_body(fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: head("Content-Length: 1000")) as server:
        fetched, body = fetch(fetcher, server.url, method="HEAD")
    assert (fetched.headers["content-length"], body) == ("1000", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(fetcher: GuardedFetcher, status: int) -> None:
    with web_server(lambda _: head("Content-Encoding: gzip", status=status)) as server:
        assert fetch(fetcher, server.url)[1] == b""


@pytest.mark.parametrize("status", [404, 429, 500, 503, 999])
def test_any_status_is_an_answer(fetcher: GuardedFetcher, status: int) -> None:
    with web_server(lambda _: page(status, b"why", "Retry-After: 17")) as server:
        fetched, body = fetch(fetcher, server.url)
    assert (fetched.status, fetched.retry_after, body) == (status, 17, b"why")


def test_interim_answers_are_skipped(fetcher: GuardedFetcher) -> None:
    interim = head(status=100) + head("Link: </a.css>", status=103) + head("Connection: close", status=102)
    with web_server(lambda _: interim + page(200, b"hello")) as server:
        fetched, body = fetch(fetcher, server.url)
    assert (fetched.status, body, "link" in fetched.headers) == (200, b"hello", False)


@pytest.mark.parametrize("patient", [True, False])
def test_an_early_answer_to_a_large_body_is_heard(fetcher: GuardedFetcher, *, patient: bool) -> None:
    def refuse(_: WebServer, connection: socket.socket) -> None:
        connection.sendall(page(413, b"too much"))
        connection.shutdown(socket.SHUT_WR)
        while patient and connection.recv(65536):
            pass

    with listening(refuse) as server:
        fetched, body = fetch(fetcher, server.url, method="POST", body=bytes(32 * 2**20))
    assert (fetched.status, body) == (413, b"too much")


def test_chunks_are_put_together(fetcher: GuardedFetcher) -> None:
    chunks = b"5;note=1\r\nhello\r\n" + b"6\r\n world\r\n" + b"0\r\nTrailer: x\r\n\r\n"
    with web_server(lambda _: head("Transfer-Encoding: chunked") + chunks) as server:
        assert fetch(fetcher, server.url)[1] == b"hello world"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_codings_are_undone(fetcher: GuardedFetcher, coding: str, pack: Callable[[bytes], bytes]) -> None:
    text = b"hello " * 100_000
    with web_server(lambda _: page(200, pack(text), f"Content-Encoding: {coding}")) as server:
        fetched, body = fetch(fetcher, server.url)
    assert (body, fetched.headers["content-encoding"]) == (text, coding)


def test_proxies_of_the_environment_are_not_asked(
    fetcher: GuardedFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(lambda _: page()) as proxy, web_server(lambda _: page(200, b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert fetch(fetcher, server.url)[1] == b"direct"
        assert not proxy.connections


def test_the_kind_keeps_the_body_with_its_digest(fetcher: GuardedFetcher) -> None:
    text, ctx = b"hello " * 100_000, FakeContext()
    answer = page(200, gzip.compress(text), "Content-Encoding: gzip", "Content-Type: text/plain")
    with web_server(lambda _: answer) as server:
        result = web_fetch(WebFetch(url=server.url), ctx, fetcher)
    assert (result.bytes, result.sha256) == (len(text), hashlib.sha256(text).hexdigest())
    assert (ctx.saved["body"].content, ctx.saved["body"].content_type) == (text, "text/plain")


def test_an_error_of_the_reader_is_not_taken_for_the_networks(fetcher: GuardedFetcher) -> None:
    with (
        web_server(lambda _: page(200, b"hello")) as server,
        pytest.raises(OSError, match="disk full"),
        fetcher.fetch(request_to(server.url), lambda: None),
    ):
        raise OSError("disk full")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\r\n\r\n", id="blank"),
        pytest.param(b"220 mail.example ESMTP\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="status"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n", id="version"),
        pytest.param(page(101), id="switch of protocols"),
        pytest.param(page(200, bytes(100))[:-1], id="body cut off"),
        pytest.param(head("Transfer-Encoding: chunked") + b"5\r\nhel", id="chunk cut off"),
        pytest.param(head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n", id="last chunk missing"),
        pytest.param(head("Transfer-Encoding: chunked") + b"xyz\r\nhello\r\n", id="chunk size"),
        pytest.param(
            page(200, gzip.compress(b"hello" * 99)[:-9], "Content-Encoding: gzip"), id="coding cut off"
        ),
    ],
)
def test_a_broken_answer_is_retried(fetcher: GuardedFetcher, answer: bytes) -> None:
    with web_server(lambda _: answer) as server, pytest.raises(Retryable):
        fetch(fetcher, server.url)


def test_a_body_that_is_not_what_it_claims_is_fatal(fetcher: GuardedFetcher) -> None:
    with (
        web_server(lambda _: page(200, b"plain", "Content-Encoding: gzip")) as server,
        pytest.raises(Fatal, match="not in the content coding gzip"),
    ):
        fetch(fetcher, server.url)


def test_a_transfer_coding_that_was_not_asked_for_is_fatal(fetcher: GuardedFetcher) -> None:
    answer = head("Transfer-Encoding: gzip, chunked") + b"1\r\nx\r\n0\r\n\r\n"
    with web_server(lambda _: answer) as server, pytest.raises(Fatal, match="transfer coding"):
        fetch(fetcher, server.url)


def test_control_characters_in_headers_are_replaced(fetcher: GuardedFetcher) -> None:
    with web_server(
        lambda _: page(200, b"", "A: b\x00c\r\n folded", "Content-Type: text/\x01html")
    ) as server:
        headers = fetch(fetcher, server.url)[0].headers
    assert (headers["a"], headers["content-type"]) == ("b c  folded", "text/ html")


def test_a_closed_port_is_retried(fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: page()) as server:
        pass
    with pytest.raises(Retryable, match=r"the connection to 127\.0\.0\.1 failed: Connection refused"):
        fetch(fetcher, f"{server.url}/?token=hush")


def test_a_name_that_does_not_resolve_is_retried(
    fetcher: GuardedFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Retryable, match=r"gone\.test cannot be resolved: Temporary failure"):
        fetch(fetcher, "http://gone.test/")


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test", ".test"])
def test_a_host_that_cannot_be_a_name_is_fatal(fetcher: GuardedFetcher, host: str) -> None:
    with pytest.raises(Fatal, match="not the name of a host"):
        fetch(fetcher, f"http://{host}/")
