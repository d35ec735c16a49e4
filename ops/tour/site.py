"""A small web site on loopback with slow pages: what the article that started this project fetched."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType, TracebackType
from typing import Any, Self

_STEADY_AFTER = 2  # refusals of the flaky page


def delay(page: int) -> int:
    """Seconds that a page takes: 1, 2, 0, 1, 2, 0 …; a hundred pages take a hundred seconds in all."""
    return (page + 1) % 3


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


class SlowSite:
    """Serves `/pages/N`, `/flaky` (refuses twice), `/endless`, `/tick` and files; counts the visits of each.

    Args:
        pages: what `/pages/0`, `/pages/1` … hold.
        files: further paths, and what they hold.
    """

    def __init__(self, pages: list[bytes], files: Mapping[str, bytes] = MappingProxyType({})) -> None:
        self.visits: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler(pages, files))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop serving."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def _visit(self, path: str) -> int:
        with self._lock:
            self.visits[path] += 1
            return self.visits[path]

    def _handler(self, pages: list[bytes], files: Mapping[str, bytes]) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                visit = site._visit(path)
                if path.startswith("/pages/"):
                    page = int(path.rpartition("/")[2])
                    time.sleep(delay(page))
                    self._answer(200, pages[page])
                elif path == "/flaky" and visit <= _STEADY_AFTER:
                    self._answer(503, b"come back later\n", {"Retry-After": "1"})
                elif path == "/endless":
                    site._closing.wait(600)
                    self._answer(200, b"")
                else:
                    self._answer(200, files.get(path, b"here I am\n"))

            def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "text/csv; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # whoever asked was cancelled
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing: the demo prints its own lines."""

        return Handler
