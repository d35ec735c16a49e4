"""What a crowd says and hears: HTTP/1.1 to an API, and Redis's protocol to a bare broker."""

from collections.abc import Iterator
from itertools import count

import msgspec

from ops.bench.course import Invalid

_GOOD = (b"HTTP/1.1 200", b"HTTP/1.1 201", b"HTTP/1.1 202")
_SHOWN = 300  # bytes of an answer that an error quotes


class Named(msgspec.Struct):
    """What an answer to a submission is looked at for."""

    id: str


def post(path: str, body: bytes, key: str | None = None) -> bytes:
    """A POST of JSON."""
    authorization = f"Authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\n{authorization}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def submissions(kind: str, key: str | None = None, path: str = "/v1/jobs") -> Iterator[bytes]:
    """Endless submissions of one job each, no two alike."""
    for number in count():
        yield post(path, b'{"kind": "%s", "payload": {"number": %d}}' % (kind.encode(), number), key)


def batches(kind: str, size: int, key: str) -> Iterator[bytes]:
    """Endless batches."""
    for first in count(0, size):
        jobs = [{"kind": kind, "payload": {"number": number}} for number in range(first, first + size)]
        yield post("/v1/batches", msgspec.json.encode({"jobs": jobs}), key)


def answer(received: bytes) -> bytes | None:
    """The body of an answer that is whole.

    Raises:
        Invalid: it is none of the good ones.
    """
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return None
    if not head.startswith(_GOOD):
        raise Invalid(f"answered {received[:_SHOWN].decode(errors='replace')}")
    length = head.lower().partition(b"content-length:")[2].split(b"\r", 1)[0]
    return body if len(body) >= int(length) else None


def pushes(queue: str) -> Iterator[bytes]:
    """Endless LPUSHes of what weighs as much as a message of Celery's."""
    value = b"m" * 700
    yield from iter(lambda: command(b"LPUSH", queue.encode(), value), b"")


def command(*words: bytes) -> bytes:
    """A command in Redis's protocol (RESP2)."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def reply(received: bytes) -> bytes | None:
    """A reply of one line that is whole.

    Raises:
        Invalid: it is an error.
    """
    if received.startswith(b"-"):
        raise Invalid(received.decode(errors="replace").strip())
    return received if received.endswith(b"\r\n") else None


def ids(answers: list[bytes]) -> set[str]:
    """The jobs that answers name, each another one.

    Raises:
        Invalid: two name the same.
    """
    found = {msgspec.json.decode(each, type=Named).id for each in answers}
    if len(found) != len(answers):
        raise Invalid(f"{len(answers)} submissions made {len(found)} jobs")
    return found
