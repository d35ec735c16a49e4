"""Gunicorn's worker and log, where the API needs something of its own.

Gunicorn's master imports this module too, before any patching: nothing that makes locks, threads or
connections may be imported here.
"""

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import gevent
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.util import close, write
from gunicorn.workers.ggevent import GeventWorker

if TYPE_CHECKING:
    from api.wsgi import Api

_SILENCE = 30.0  # seconds that a client may neither send what it announced nor take what it asked for
_ROUND = 0.5  # seconds between two looks whether the process is to stop

_STATUSES = {
    errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
    errors.UnsupportedTransferCoding: HTTPStatus.NOT_IMPLEMENTED,
}


class Worker(GeventWorker):
    """A process of greenlets that answers those who wait before it stops."""

    def run(self) -> None:
        """Serve until told to stop; then let go of everything."""
        gevent.spawn(self._release_waiters)
        try:
            super().run()
        finally:
            self._api.close()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request of a client that must not fall silent in its middle."""
        sock.settimeout(_SILENCE)
        more = super().handle_request(listener_name, req, sock, addr)
        if not self.alive:
            # As gunicorn ends a connection; it would wait for a next request of those it kept open.
            raise StopIteration
        return more

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no HTTP with a problem, as everything else.

        Its text is not logged: gunicorn's would show the header, which may be the one with the key.
        """
        if not isinstance(exc, errors.ParseException):
            super().handle_error(req, client, addr, exc)
            return
        self.log.warning("request_malformed %s", type(exc).__name__)
        try:
            write(client, _problem(_STATUSES.get(type(exc), HTTPStatus.BAD_REQUEST)))
        except OSError:
            close(client)

    def _release_waiters(self) -> None:
        # A look at `alive` and no signal handler: it ends as well when the process served its share.
        while self.alive:
            gevent.sleep(_ROUND)
        self._api.release()

    @property
    def _api(self) -> "Api":
        return cast("Api", self.wsgi)


class Log(Logger):
    """Gunicorn's own lines, passed on to the log of the role."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's handlers away, so that the root's get the lines."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _problem(status: HTTPStatus) -> bytes:
    body = json.dumps({"type": "about:blank", "title": status.phrase, "status": status}).encode()
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\n"
        "Content-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
