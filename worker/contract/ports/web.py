"""Fetching a URL that a client named."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from worker.contract.errors import Fatal


class Unfetchable(Fatal):
    """The URL is none that can be fetched, or leads where it must not: whatever the server does."""


class FetchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request, redirects included."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes | None = None
    timeout: float  # seconds for the whole exchange, from the first look-up to the last byte
    max_bytes: int  # of the body after decoding
    max_redirects: int  # 0: a redirect is itself the answer


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an answer, and its body, still to be read."""

    status: int
    headers: dict[str, str]  # names in lower case; repeated ones joined by ", ", Set-Cookie by a newline
    url: str  # after redirects
    redirects: int
    retry_after: float | None  # seconds, where the answer said so (RFC 9110, section 10.2.3)
    body: Iterator[bytes]  # decoded, in small pieces; raises as `Fetcher.fetch` does


class Fetcher(Protocol):
    """A guarded HTTP client: what a client names must not reach the inside of the operator's network."""

    def fetch(self, request: FetchRequest, check: Callable[[], None]) -> AbstractContextManager[Fetched]:
        """Send the request; the body can be read until the context ends.

        Any HTTP status is an answer here; what it means is the kind's business.

        Args:
            request: what to fetch.
            check: called about once a second while the exchange runs (while it connects, less often); what
                it raises ends the exchange and is passed on.

        Raises:
            Unfetchable: the URL, or an address that it resolves to, is not allowed.
            Fatal: what the server shows cannot be accepted: its certificate, the size of its answer.
            Retryable: the network or the server failed in a way that another attempt may cure.
        """
