"""One log line and one measurement for each request.

Both name the route by its template and the client by its name: no path, no query string, no body, for a
client may have put a secret there.
"""

import time

from loguru import logger

from api.applications import Request, Response
from api.metrics import Metrics

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})  # asked every few seconds by machines


class Observation:
    """Tells of every request how it went."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def process_request(self, req: Request, _resp: Response) -> None:
        """Take the time."""
        req.context.began = time.perf_counter()

    def process_response(
        self,
        req: Request,
        resp: Response,
        _resource: object,
        _req_succeeded: bool,  # noqa: FBT001 - Falcon's
    ) -> None:
        """Log and measure."""
        seconds = time.perf_counter() - req.context.began
        method = req.method if req.method in _METHODS else "other"
        route = req.uri_template or "none"
        status = resp.status_code
        self._metrics.requests.labels(method, route, status).observe(seconds)
        client = req.context.get("client")
        logger.log(
            "DEBUG" if route in _PROBES else "INFO",
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            client=client.name if client else None,
        )
