"""A constant answer behind the gunicorn of the API: `gunicorn --config api/gunicorn.conf.py` with `app()`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import falcon

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Constant:
    """What `api.serving.Worker` asks of an application, and one answer."""

    drain_delay = 0.0

    def __init__(self) -> None:
        self.draining = False
        self._app = falcon.App()
        self._app.add_route("/v1/jobs", self)
        self._app.add_route("/readyz", self)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        return self._app(environ, start_response)

    def on_get(self, _request: falcon.Request, response: falcon.Response) -> None:
        """Be ready."""
        response.data = b"{}"

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Read the body, and accept nothing."""
        request.bounded_stream.read()
        response.status = falcon.HTTP_202
        response.content_type = falcon.MEDIA_JSON
        response.data = b'{"id": "00000000-0000-0000-0000-000000000000", "state": "queued"}'

    def release(self) -> None:
        """Nobody waits."""

    def close(self) -> None:
        """Nothing is open."""


def app() -> Constant:
    """The application of one process."""
    return Constant()
