"""Servers that send too much."""

import gzip
import re
import tracemalloc
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat

import pytest

from tests.integration.web_fetch.client import fetch, request_to
from tests.integration.web_fetch.servers import head, page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Fatal

GZIP, DEFLATE = "Content-Encoding: gzip", "Content-Encoding: deflate"
CHUNKED = head("Transfer-Encoding: chunked")
ZEROS = bytes(2**16)
TOO_MUCH = re.compile("larger than|more bytes than|too large")

Answer = Callable[[], Iterable[bytes]]


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    return chain([start], repeat(piece))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda: [page(200, bytes(2**20 + 1))], id="announced"),
        pytest.param(lambda: [head(), *[ZEROS] * 17], id="unannounced"),
        pytest.param(lambda: endless(head(), ZEROS), id="endless"),
        pytest.param(lambda: endless(CHUNKED, b"10000\r\n" + ZEROS + b"\r\n"), id="chunks"),
        pytest.param(lambda: endless(CHUNKED, b"1\r\nx\r\n" * 9999), id="tiny chunks"),
        pytest.param(lambda: endless(CHUNKED + b"-1\r\n", ZEROS), id="a chunk of -1"),
        pytest.param(lambda: endless(CHUNKED + b"0\r\n", b"a: b\r\n" * 9999), id="trailers"),
        pytest.param(lambda: [page(200, gzip.compress(bytes(10**8)), GZIP)], id="gzip bomb"),
        pytest.param(lambda: [page(200, zlib.compress(bytes(10**8)), DEFLATE)], id="deflate bomb"),
        pytest.param(lambda: endless(head(GZIP), gzip.compress(b"") * 999), id="empty members"),
        pytest.param(
            lambda: endless(head(DEFLATE) + b"\x78\x9c", b"\x00\x00\x00\xff\xff" * 9999), id="empty blocks"
        ),
        pytest.param(lambda: repeat(head(status=100) * 999), id="interim answers"),
        pytest.param(lambda: [head(*[f"A{n}: {'x' * 1000}" for n in range(90)])], id="large headers"),
        pytest.param(lambda: [head(*[f"A{n}: x" for n in range(101)])], id="many headers"),
        pytest.param(lambda: [head("A: " + "x" * 70_000)], id="a long header"),
        pytest.param(lambda: repeat(b"x" * 2**16), id="a long status line"),
    ],
)
def test_too_much_is_fatal_and_costs_no_memory(fetcher: GuardedFetcher, answer: Answer) -> None:
    prepared = answer()
    with web_server(lambda _: prepared) as server:
        tracemalloc.start()
        try:
            with (
                pytest.raises(Fatal, match=TOO_MUCH),
                fetcher.fetch(request_to(server.url, max_bytes=2**18, timeout=60), lambda: None) as fetched,
            ):
                deque(fetched.body, maxlen=0)
            assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
        finally:
            tracemalloc.stop()


def test_a_body_of_just_the_permitted_size_is_taken(fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: page(200, bytes(2**20))) as server:
        assert len(fetch(fetcher, server.url)[1]) == 2**20
