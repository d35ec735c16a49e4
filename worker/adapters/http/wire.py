"""A TCP connection that keeps to a budget."""

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from worker.adapters.http.budget import Budget
from worker.adapters.http.resolver import Address

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

CONNECT_SECONDS = 10.0  # for each address: a host with several must not lose all time to a dead one

T = TypeVar("T")


class Wire(socket.socket):
    """A socket none of whose waits outlives the budget, and whose bytes are counted.

    Being below TLS and HTTP it limits handshakes, headers, chunk sizes and trailers too. Whoever sets
    another timeout on it is overruled.
    """

    def __init__(self, family: int, budget: Budget) -> None:
        """Make an unconnected socket."""
        super().__init__(family, socket.SOCK_STREAM)
        self._budget = budget

    def connect(self, address: Any) -> None:
        """Connect within the budget."""
        self.settimeout(self._budget.time(at_most=CONNECT_SECONDS))
        super().connect(address)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive what has arrived, within the budget."""
        received = self._patiently(partial(super().recv, bufsize, flags))
        self._budget.spend(len(received))
        return received

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        """Receive what has arrived, within the budget."""
        received = self._patiently(partial(super().recv_into, buffer, nbytes, flags))
        self._budget.spend(received)
        return received

    def sendall(self, data: "ReadableBuffer", flags: int = 0, /) -> None:
        """Send everything, within the budget."""
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._patiently(partial(self.send, rest, flags)) :]

    def _patiently(self, operation: Callable[[], T]) -> T:
        """Wait in ticks, so that the budget's check is heard while nothing moves."""
        while True:
            self.settimeout(self._budget.time())
            try:
                return operation()
            except TimeoutError as error:
                if error.errno is not None:  # ETIMEDOUT: the network's word, not the end of a tick
                    raise


def connect(addresses: Sequence[Address], budget: Budget) -> Wire:
    """Connect to the first address that answers.

    Raises:
        OSError: none does; the error of the last one.
    """
    for address in addresses[:-1]:
        try:
            return _dial(address, budget)
        except OSError:
            continue
    return _dial(addresses[-1], budget)


def _dial(address: Address, budget: Budget) -> Wire:
    wire = Wire(address.family, budget)
    try:
        wire.connect(address.sockaddr)
    except BaseException:
        wire.close()
        raise
    return wire
