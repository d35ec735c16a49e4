"""The answer to a call: its headers made safe to record, and its body made safe to read."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead

from worker.adapters.http.coding import decoded
from worker.adapters.http.failures import translated
from worker.adapters.http.url import Url
from worker.contract import Fatal

MAX_HEADERS = 64 * 1024  # characters of all names and values: they are recorded with the result
READ = 16 * 1024  # bytes at a time

CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]+")


def final(connection: HTTPConnection) -> HTTPResponse:
    """The answer behind any interim ones (RFC 9110, section 15.2); http.client skips only 100."""
    response = connection.getresponse()
    while response.status < 200:  # noqa: PLR2004 - 1xx
        response.headers = None  # type: ignore[assignment]  # what tells `begin` to read a head
        response.begin()
    return response


def headers_of(response: HTTPResponse) -> dict[str, str]:
    """The headers, names in lower case, control characters replaced (RFC 9110, section 5.5).

    Repeated ones are joined by a comma; Set-Cookie, whose values hold commas, by a newline.

    Raises:
        Fatal: they are too large to record.
    """
    headers: dict[str, str] = {}
    for given, text in response.getheaders():
        name, value = given.lower(), CONTROLS.sub(" ", text)
        joint = "\n" if name == "set-cookie" else ", "
        headers[name] = f"{headers[name]}{joint}{value}" if name in headers else value
    if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADERS:
        raise Fatal(f"the headers of the answer are larger than {MAX_HEADERS} bytes")
    return headers


def body_of(response: HTTPResponse, url: Url, max_bytes: int) -> Iterator[bytes]:
    """The decoded body in pieces.

    Raises:
        Fatal: it is larger than permitted, not in the content coding that it claims, or in a transfer
            coding that nobody asked for (RFC 9112, section 6.1), which http.client would take for data.
        Retryable: it ends too early.
    """
    if response.getheader("transfer-encoding") and not response.chunked:
        raise Fatal(f"{url.name} uses a transfer coding that it was not asked for")
    size = 0
    for piece in decoded(_received(response, url), response.getheader("content-encoding", "")):
        size += len(piece)
        if size > max_bytes:
            raise Fatal(f"the body is larger than {max_bytes} bytes")
        yield piece


def _received(response: HTTPResponse, url: Url) -> Iterator[bytes]:
    # `readinto`, not `read`: the latter takes a chunk size of -1 for "all there is".
    buffer = bytearray(READ)
    while True:
        with translated(url):
            size = response.readinto(buffer)
            if not size and response.length:
                raise IncompleteRead(b"", response.length)
        if not size:
            return
        yield bytes(memoryview(buffer)[:size])
