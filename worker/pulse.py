"""The pulse of a worker or a beat: whether the process lives, shown beside its metrics.

`/healthz` is for liveness probes: 503 where the pulse stopped, so that the process is killed and started
again. It goes on while the ledger or the broker is away, for a restart would not bring them back. `/readyz`
is for those who wait until the process does its work. Like the metrics, both need no key and belong inside.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, make_server

from loguru import logger
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_SELDOM = 3600.0  # seconds
_STOPPED = 60.0  # seconds without a beat; a round that meets silent servers takes up to twenty


class Pulse:
    """When a process last showed that it lives.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()

    def beat(self) -> None:
        """Show it: a round of its work was made, or failed in a way that it expects."""
        self._last = self._clock()

    @property
    def alive(self) -> bool:
        """Whether that was lately."""
        return self._clock() - self._last < _STOPPED


class Page:
    """What is served: `/healthz`, `/readyz`, and at any other path the metrics.

    Args:
        registry: of the metrics.
        pulse: of the process.
        ready: whether the process does its work.
    """

    def __init__(self, registry: CollectorRegistry, pulse: Pulse, ready: Callable[[], bool]) -> None:
        self._metrics = make_wsgi_app(registry)
        self._checks: dict[str, Callable[[], bool]] = {
            "/healthz": lambda: pulse.alive,
            "/readyz": lambda: pulse.alive and ready(),
        }

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        check = self._checks.get(environ["PATH_INFO"])
        if check is None:
            metrics: Iterable[bytes] = self._metrics(environ, start_response)
            return metrics
        status = HTTPStatus.OK if check() else HTTPStatus.SERVICE_UNAVAILABLE
        start_response(f"{status.value} {status.phrase}", [("Content-Type", "application/json")])
        return [json.dumps({"status": "ok" if status is HTTPStatus.OK else "unavailable"}).encode()]


def serve(page: Page, host: str, port: int) -> None:
    """Serve a page from a thread of this process, unless the port is taken: work matters more."""
    try:
        server = make_server(host, port, page, _server_class(host), _Silent)
    except OSError as error:
        logger.warning("metrics_unserved", port=port, error=str(error))
        return
    # It asks itself now and then whether it was told to stop, which nobody does: it ends with the process.
    threading.Thread(target=server.serve_forever, args=(_SELDOM,), name="metrics", daemon=True).start()
    logger.info("metrics_served", port=server.server_port)


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Log nothing: probes come every few seconds."""


def _server_class(host: str) -> type[ThreadingWSGIServer]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return type("Server", (ThreadingWSGIServer,), {"address_family": family})
