"""Gunicorn's worker and log, where the API needs something of its own.

Gunicorn's master imports this module too, before any patching: nothing that makes locks, threads or
connections may be imported here.
"""

import contextlib
import functools
import time
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool
from gevent.server import StreamServer
from gunicorn.glogging import Logger
from gunicorn.http import errors
from gunicorn.util import write
from gunicorn.workers.ggevent import GeventWorker

from api.breath import breathe
from api.leftovers import linger, skip
from api.pace import Pace

if TYPE_CHECKING:
    from api.wsgi import Api

_SILENCE = 30.0  # seconds that a client may neither send what it announced nor take what it asked for
_TURN = 1.0  # seconds between two signs of life for gunicorn's master
_PAUSE = 50e-6  # seconds in which others may accept, for each connection that this process has
_LONGEST_PAUSE = 500e-6
_CLOSING = 6.0  # seconds at the end of the grace, for the last messages and the connections

# What gunicorn counts among the errors of parsing, though no client makes them.
_OURS = {"InvalidResponseHeader", "InvalidResponseHeaderName", "ConfigurationProblem"}


class Worker(GeventWorker):
    """A process of greenlets that stops without failing a request.

    On SIGTERM it is not ready first (`/readyz`), and says `Connection: close` with each answer. A moment
    later it closes its socket, answers those who wait for a job, and finishes what else is in flight.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._stop_at = float("inf")  # monotonic time
        self._told_to_stop = Event()

    def run(self) -> None:
        """Serve until told to stop; then let go of everything.

        In the place of gunicorn's own, which cannot close a socket between two requests: it looks once a
        second whether to stop, and resets the connections that the kernel holds for it by then.
        """
        pool = Pool(self.worker_connections)
        servers = [self._serve(listener, pool) for listener in self.sockets]
        try:
            while self.alive and not self._told_to_stop.wait(_TURN):
                self.notify()
            self._drain()
            self._finish(servers, pool)
        finally:
            self._api.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM, in a signal handler: be ready no more, and stop soon."""
        if self.booted:
            self._api.draining = True
            self._stop_at = min(self._stop_at, time.monotonic() + self._api.drain_delay)
            self._told_to_stop.set()
        else:
            super().handle_exit(sig, frame)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> bool:
        """Answer one request of a client that must not fall silent in its middle."""
        if req.req_number > 1:
            breathe()  # or who sends the next before this is answered would keep everybody else waiting
        sock.settimeout(_SILENCE)
        unreader = req.unreader
        unreader.chunk = Pace(functools.partial(type(unreader).chunk, unreader))
        # Gunicorn asks first when it writes the head of the answer. Were it to decide anew afterwards, it
        # would close connections of which the client was told that it may keep them.
        asked = req.should_close
        req.should_close = functools.cache(lambda: not skip(req, sock) or self._api.draining or asked())
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except StopIteration:
            if not skip(req, sock):
                linger(sock)
            raise
        finally:
            del unreader.chunk  # the next head has a limit of its own, and the time between does not count

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Answer what is no HTTP with a problem, as everything else."""
        if not isinstance(exc, errors.ParseException) or type(exc).__name__ in _OURS:
            super().handle_error(req, client, addr, exc)
            return
        with contextlib.suppress(OSError):
            write(client, self._api.refusal(exc, self.cfg))
            linger(client)

    def _serve(self, listener: Any, pool: Pool) -> StreamServer:
        listener.setblocking(1)
        kind = _Sharing if self.cfg.workers > 1 else StreamServer
        server = kind(
            listener, handle=functools.partial(self.handle, cast("Any", _Address(listener))), spawn=pool
        )
        server.start()
        return server

    def _drain(self) -> None:
        """Serve on for the moment in which others learn that this process is not ready."""
        while self.alive and (left := self._stop_at - time.monotonic()) > 0:
            self.notify()
            gevent.sleep(min(left, _TURN))

    def _finish(self, servers: list[StreamServer], pool: Pool) -> None:
        give_up_at = time.monotonic() + self.cfg.graceful_timeout - self._api.drain_delay - _CLOSING
        self._api.draining = True  # it may have served its share of requests, and was not told
        self._api.release()  # first, for those who wait may hold every place that the next line needs
        for server in servers:
            _close(server)
        while len(pool) and (left := give_up_at - time.monotonic()) > 0:
            self.notify()
            pool.join(min(left, _TURN))
        if len(pool):
            self.log.warning("requests_cut_off %d", len(pool))
            pool.kill(timeout=1.0)

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


class _Sharing(StreamServer):
    """Leaves the next connection to the other processes, for the longer the more it has itself.

    Else whoever wakes first takes nearly all that come at once, and the others have nothing to do. One that
    takes the place of another which ended is no more than the share of before, and nothing waits for it.
    """

    max_accept = 1
    _held = 0  # connections after the last one was accepted

    def do_handle(self, *accepted: Any) -> None:
        """Serve a connection, and where it is one more, accept none for a moment."""
        super().do_handle(*accepted)
        before, self._held = self._held, len(cast("Pool", self.pool))
        if self._held > before:
            self.stop_accepting()
            gevent.spawn_later(min(self._held * _PAUSE, _LONGEST_PAUSE), self._go_on)

    def _go_on(self) -> None:
        if self.started:
            self.start_accepting()


class _Address:
    """A listener's name, for connections that are handled when it is closed already."""

    def __init__(self, listener: Any) -> None:
        self._name = listener.getsockname()

    def getsockname(self) -> Any:
        """What gunicorn asks a listener for with each connection."""
        return self._name


def _close(server: Any) -> None:
    """Take the connections that wait in the kernel, which would be reset, and close the socket at once."""
    server.stop_accepting()
    while accepted := server.do_read():
        server.do_handle(*accepted)
    # Gevent's `close`, and the `os.close` that it patches, let a round of its loop pass before.
    monkey.get_original("os", "close")(server.socket.detach())
    server.close()
