"""Clients that submit at a steady pace keep their connections, as long as the API does."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ops.bench import pace
from ops.bench.course import Invalid
from ops.bench.crowd import Address


class _Api(BaseHTTPRequestHandler):
    """Answers each submission, and says of what it was asked."""

    protocol_version = "HTTP/1.1"
    state = "succeeded"
    leaves = False  # closes the connection after an answer, and does not say so

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = b'{"state": "%s"}' % self.state.encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = self.leaves

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Cuts(_Api):
    """Hangs up instead of an answer."""

    def do_POST(self) -> None:
        self.close_connection = True


class _Leaves(_Api):
    leaves = True


class _Refuses(_Api):
    state = "failed"


@contextmanager
def served(handler: type[_Api]) -> Iterator[Address]:
    """An API on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield "127.0.0.1", server.server_port
        finally:
            server.shutdown()


def submitted(address: Address, seconds: float = 0.1) -> list[pace.Ended]:
    return pace.submit(address, "jy_key", lambda number: {"number": number}, 100.0, seconds)


def test_every_submission_is_told_with_when_it_was_due() -> None:
    with served(_Api) as address:
        assert [ended.at for ended in submitted(address)] == [number / 100 for number in range(10)]


def test_a_connection_that_the_api_has_closed_is_not_asked_again() -> None:
    with served(_Leaves) as address:
        assert len(submitted(address)) == 10


@pytest.mark.parametrize(("handler", "says"), [(_Refuses, "failed"), (_Cuts, "cut off")])
def test_the_first_fault_ends_a_run_of_an_hour(handler: type[_Api], says: str) -> None:
    with served(handler) as address, pytest.raises(Invalid, match=says):
        submitted(address, seconds=3600)
