"""Redirects: followed by hand, and trusted with nothing."""

from collections.abc import Callable

import pytest

from tests.integration.web_fetch.client import fetch
from tests.integration.web_fetch.servers import Request, page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Fatal


def redirecting(status: int, location: str, last: bytes = b"there") -> Callable[[Request], bytes]:
    return lambda request: (
        page(200, last) if request.target == "/there" else page(status, b"x" * 100, f"Location: {location}")
    )


def test_redirects_are_followed_and_counted(fetcher: GuardedFetcher) -> None:
    with web_server(redirecting(303, "there")) as server:
        fetched, body = fetch(fetcher, server.url, method="POST", body=b"form")
    assert (fetched.url, fetched.redirects, body) == (f"{server.url}/there", 1, b"there")
    assert [(request.method, request.body) for request in server.requests] == [
        ("POST", b"form"),
        ("GET", b""),
    ]


def test_credentials_do_not_cross_origins(fetcher: GuardedFetcher) -> None:
    headers = {"Authorization": "Bearer t", "Cookie": "c", "X-Api-Key": "k", "Accept": "text/html"}
    with web_server(lambda _: page()) as other:
        for location in (f"{other.url}/", "/there"):
            with web_server(redirecting(307, location)) as server:
                fetch(fetcher, server.url, headers=headers)
                same = server.requests
        assert {
            name for name in other.requests[0].headers if name in {"authorization", "cookie", "x-api-key"}
        } == set()
        assert other.requests[0].headers["accept"] == "text/html"
        assert same[1].headers["authorization"] == "Bearer t"
        assert same[1].headers["x-api-key"] == "k"


def test_too_many_redirects_are_fatal(fetcher: GuardedFetcher) -> None:
    with web_server(redirecting(302, "/on")) as server:
        with pytest.raises(Fatal, match="more than 3 redirects"):
            fetch(fetcher, server.url)
        assert len(server.requests) == 4


def test_without_redirects_one_is_the_answer(fetcher: GuardedFetcher) -> None:
    with web_server(redirecting(302, "/there")) as server:
        fetched, body = fetch(fetcher, server.url, max_redirects=0)
    assert (fetched.status, fetched.headers["location"], body) == (302, "/there", b"x" * 100)


@pytest.mark.parametrize("answer", [page(304), page(302, b"no location"), page(300, b"", "Location: /there")])
def test_what_is_no_redirect_is_the_answer(fetcher: GuardedFetcher, answer: bytes) -> None:
    with web_server(lambda _: answer) as server:
        fetched, _ = fetch(fetcher, server.url)
    assert (fetched.redirects, fetched.status // 100) == (0, 3)


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "gopher://127.0.0.1/", "http://u:hush@127.0.0.1/", "http://[", "http:///"],
)
def test_a_redirect_to_what_is_no_page_is_fatal(fetcher: GuardedFetcher, location: str) -> None:
    with web_server(redirecting(302, location)) as server, pytest.raises(Fatal) as caught:
        fetch(fetcher, server.url)
    assert "hush" not in str(caught.value)
