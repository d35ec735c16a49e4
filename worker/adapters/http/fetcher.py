"""The port `Fetcher` over the guarded connection."""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from urllib3.util.ssltransport import SSLTransport

from worker.adapters.http.addresses import AddressGuard, Network
from worker.adapters.http.answer import body_of, final, headers_of
from worker.adapters.http.budget import Budget
from worker.adapters.http.call import REDIRECTS, Call
from worker.adapters.http.coding import ACCEPTED
from worker.adapters.http.failures import translated
from worker.adapters.http.resolver import Resolver
from worker.adapters.http.retry_after import retry_after
from worker.adapters.http.url import Url
from worker.adapters.http.wire import Wire, connect
from worker.contract import Fatal
from worker.contract.ports import Fetched, FetchRequest

# On the wire a body may be twice its size, in small chunks for instance, and has heads before it.
FRAMING = 2
HEADS = 1024 * 1024


class GuardedFetcher:
    """Fetches what clients name, and nothing from the inside of the operator's network.

    Safe to share between threads and greenlets: a connection lives as long as its exchange. Make it after
    a fork, for it keeps threads that resolve names. No variable of the environment sends it elsewhere
    (proxies, netrc).
    """

    def __init__(
        self, allowed: Sequence[Network], user_agent: str, tls: ssl.SSLContext | None = None
    ) -> None:
        """Prepare what exchanges share.

        Args:
            allowed: networks that may be reached although they are not global.
            user_agent: sent where the request has none.
            tls: whom to trust; unset: the authorities of the operating system. It is made once, as
                loading them takes tens of milliseconds.
        """
        self._resolver = Resolver(AddressGuard(allowed))
        self._user_agent = user_agent
        self._tls = tls or ssl.create_default_context()

    @contextmanager
    def fetch(self, request: FetchRequest, check: Callable[[], None]) -> Iterator[Fetched]:
        """Send the request, follow its redirects, and give the answer; see `Fetcher`."""
        budget = Budget(request.timeout, FRAMING * request.max_bytes + HEADS, check)
        call = self._first(request)
        for redirects in range(request.max_redirects + 1):
            with self._exchange(call, budget) as response:
                headers = headers_of(response)
                onward = response.status in REDIRECTS and headers.get("location")
                if not onward or not request.max_redirects:
                    yield Fetched(
                        status=response.status,
                        headers=headers,
                        url=str(call.url),
                        redirects=redirects,
                        retry_after=retry_after(headers.get("retry-after")),
                        body=body_of(response, call.url, request.max_bytes),
                    )
                    return
            call = call.redirected(response.status, onward)
        raise Fatal(f"more than {request.max_redirects} redirects")

    def _first(self, request: FetchRequest) -> Call:
        defaults = {"accept": "*/*", "accept-encoding": ACCEPTED, "user-agent": self._user_agent}
        given = {name.lower(): value for name, value in request.headers.items()}
        return Call(request.method, Url.parse(request.url), defaults | given, request.body)

    @contextmanager
    def _exchange(self, call: Call, budget: Budget) -> Iterator[HTTPResponse]:
        with ExitStack() as stack:
            with translated(call.url):  # and not around the yield: the reader's errors are its own
                response = self._open(call, budget, stack)
            yield response

    def _open(self, call: Call, budget: Budget, stack: ExitStack) -> HTTPResponse:
        url = call.url
        wire = stack.enter_context(closing(connect(self._resolver.resolve(url, budget), budget)))
        connection = HTTPConnection(url.name, url.port)
        connection.sock = self._secured(wire, url)  # so it never connects by itself
        headers = {**call.headers, "host": url.authority, "connection": "close"}
        with suppress(ConnectionError):  # a server may answer, and hang up, before it has read the body
            connection.request(call.method, url.target, call.body, headers)
        return stack.enter_context(closing(final(connection)))

    def _secured(self, wire: Wire, url: Url) -> Any:
        if url.scheme == "http":
            return wire
        # Over this the handshake and every record pass through the wire, so its budget holds for them
        # as well; and a body that ends without TLS's own end is not taken for whole (RFC 9112, 9.8).
        return SSLTransport(wire, self._tls, url.name, suppress_ragged_eofs=False)
