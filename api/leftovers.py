"""What of a request's body nobody has read, once its answer is made.

The next request on a connection begins where the body of this one ends, so a connection is kept only where
that place is near: a client that has yet to send the rest is told of the close (RFC 9110, section 15.5.9).
"""

import contextlib
import socket
from typing import Any

import gevent
from gunicorn.http.errors import ParseException

from api.breath import breathe

_STEP = 16 * 1024  # bytes
_STEPS = 4
_LINGER = 5.0  # seconds


def skip(req: Any, sock: Any) -> bool:
    """Skip what is here already, without waiting for more: whether that was all of it."""
    timeout = sock.gettimeout()
    sock.settimeout(0.0)
    try:
        return not req.body.failed and any(not req.body.read(_STEP) for _ in range(_STEPS))
    except (OSError, ParseException):
        return False
    finally:
        sock.settimeout(timeout)


def linger(sock: Any) -> None:
    """Say that nothing more will be read, and let the client finish its sentence.

    A socket that is closed with bytes unread resets its connection, and with it the answer is lost where the
    client had not read it yet (RFC 9112, section 9.6).
    """
    with contextlib.suppress(OSError, gevent.Timeout), gevent.Timeout(_LINGER):
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(_STEP):
            breathe()  # or who sends without a pause would keep everybody else waiting
