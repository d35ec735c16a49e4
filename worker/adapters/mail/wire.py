"""A TCP connection to the mail server none of whose waits outlasts the exchange."""

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from worker.contract import Retryable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

PATIENCE = 30.0  # seconds that the server may be silent, while a step has no time of its own
CONNECT_SECONDS = 10.0  # for each address: a host with several must not lose all time to a dead one

T = TypeVar("T")


class Limit:
    """The time of one exchange.

    A time limit on each read would let a server that trickles bytes go on for ever; so every wait asks here
    how long it may last.
    """

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self.patience = PATIENCE

    def time(self, at_most: float | None = None) -> float:
        """Seconds that the next wait may last.

        Raises:
            Retryable: the time is over.
        """
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Retryable("the mail server took too long: the time of this attempt is over")
        return min(left, self.patience if at_most is None else at_most)


class Wire(socket.socket):
    """A socket that keeps to the limit of whichever exchange it serves.

    Being below TLS it bounds handshakes as well. Whoever sets another timeout on it is overruled.
    """

    def __init__(self, family: int, limit: Limit) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.limit = limit

    def connect(self, address: Any) -> None:
        """Connect within the limit."""
        self.settimeout(self.limit.time(CONNECT_SECONDS))
        super().connect(address)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive what has arrived, within the limit."""
        return self._bounded(partial(super().recv, bufsize, flags))

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """Receive what has arrived, within the limit."""
        return self._bounded(partial(super().recv_into, buffer, nbytes, flags))

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Send everything, within the limit."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._bounded(partial(self.send, rest, flags)) :]

    def _bounded(self, operation: Callable[[], T]) -> T:
        seconds = self.limit.time()
        self.settimeout(seconds)
        try:
            return operation()
        except TimeoutError as error:
            if error.errno is not None:  # ETIMEDOUT: the network's word
                raise
            raise Retryable(f"the mail server was silent for {seconds:.3g} s") from None


def connect(host: str, port: int, limit: Limit) -> Wire:
    """Connect to the first address of the host that answers.

    The look-up keeps to the time limits of the system's resolver: the host is the operator's choice.

    Raises:
        OSError: none does; the error of the last one.
    """
    *others, last = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, _, _, _, address in others:
        try:
            return _dial(family, address, limit)
        except OSError:
            continue
    return _dial(last[0], last[4], limit)


def _dial(family: int, address: Any, limit: Limit) -> Wire:
    wire = Wire(family, limit)
    try:
        wire.connect(address)
    except BaseException:
        wire.close()
        raise
    return wire
