"""Names to addresses that were checked."""

import socket
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from worker.adapters.http.addresses import AddressGuard
from worker.adapters.http.budget import Budget
from worker.adapters.http.url import Url
from worker.contract import Retryable
from worker.contract.ports import Unfetchable

LOOKUPS = 64  # at once in one process; those of names whose servers do not answer fill it up first


class Address(NamedTuple):
    """Where to connect to: what `socket.socket` and its `connect` take."""

    family: int
    sockaddr: Any


class Resolver:
    """Resolves a host once, and vouches for every address that it returns.

    Connect to these addresses and never to the name: a second look-up may answer otherwise (DNS
    rebinding). `getaddrinfo` decides what a spelling means (`0x7f.1`, `2130706433`), and its answer is
    what is checked. It knows no time limit of its own, so it runs on a thread that can be left behind.
    """

    def __init__(self, guard: AddressGuard) -> None:
        """Check what names resolve to with this guard."""
        self._guard = guard
        self._threads = ThreadPoolExecutor(LOOKUPS, "resolve")

    def resolve(self, url: Url, budget: Budget) -> list[Address]:
        """The addresses of a URL's host, in the order to try them (RFC 6724).

        Raises:
            Unfetchable: one of them may not be reached. It is not named: that would map the inside.
            Retryable: the name cannot be resolved now.
        """
        try:
            found = self._look_up(url, budget)
        except socket.gaierror as error:
            raise Retryable(f"{url.host} cannot be resolved: {error.strerror}") from error
        except ValueError as error:
            raise Unfetchable(f"{url.host} is not the name of a host") from error
        if not all(self._guard.permits(address.sockaddr[0]) for address in found):
            raise Unfetchable(f"{url.host} is not on the public network, and the operator has not allowed it")
        return found

    def _look_up(self, url: Url, budget: Budget) -> list[Address]:
        answer: Future[list[Any]] = self._threads.submit(
            socket.getaddrinfo, url.host, url.port, type=socket.SOCK_STREAM
        )
        try:
            while not wait([answer], budget.time()).done:
                pass
        finally:
            answer.cancel()  # without effect once it runs; one that still waits for a thread goes
        return [Address(family, sockaddr) for family, _, _, _, sockaddr in answer.result()]
