"""Reading what a client sends: with a limit that holds whatever its headers claim."""

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from api.applications import Request
from api.errors import Problem
from worker.enqueue import refusal

JSON = "application/json"
NDJSON = "application/x-ndjson"

_CHUNK = 64 * 1024  # bytes

_ANYTHING = msgspec.json.Decoder(msgspec.Raw)  # which makes no objects of what it skips

T = TypeVar("T")


def chunks(req: Request, limit: int) -> Iterator[bytes]:
    """The body in pieces, chunked transfer included.

    Raises:
        Problem: 413 above the limit, 400 or 408 where the rest did not come.
    """
    _require_plain(req)
    declared = req.content_length
    if declared is not None and declared > limit:
        raise _too_large(limit)
    received = 0
    while received != declared and (piece := _receive(req)):
        received += len(piece)
        if received > limit:
            raise _too_large(limit)
        yield piece
    if declared is not None and received < declared:
        raise Problem(400, f"the body ended after {received} of {declared} bytes")


def read_json(req: Request, limit: int) -> bytes:
    """The body of a request that must be JSON, not decoded yet.

    Raises:
        Problem: as `chunks`, and 415 where it is something else.
    """
    if media_type(req) != JSON:
        raise Problem(415, f"send JSON, and say so: Content-Type: {JSON}")
    return b"".join(chunks(req, limit))


def media_type(req: Request) -> str:
    """What a request says its body is, without parameters."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode and validate in one pass.

    Raises:
        Problem: 400, it is no JSON, or nested too deeply.
        Refused: it is JSON, and a field of it cannot be accepted.
    """
    try:
        return _decode(body, decoder)
    except msgspec.ValidationError as error:
        raise refusal(error, decoder.type) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(f"the body is no JSON: {error}" if body else "the body is empty") from None
    except RecursionError:
        raise malformed("the body is nested too deeply") from None


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        _ANYTHING.decode(body)  # or a type that does not fit hides that it is no JSON at all
        raise


def malformed(detail: str) -> Problem:
    """The problem of a body that should be JSON, and is none that can be read."""
    return Problem(400, detail, code="malformed-json")


def _receive(req: Request) -> bytes:
    try:
        piece: bytes = req.stream.read(_CHUNK)
    except TimeoutError:
        raise Problem(408, "the rest of the body did not come in time") from None
    except Exception as error:  # noqa: BLE001 - whatever the server raises here, the client's framing is broken
        raise Problem(400, f"the body cannot be read: {type(error).__name__}") from None
    return piece


def _require_plain(req: Request) -> None:
    coding = req.get_header("Content-Encoding", default="identity")
    if coding.strip().lower() != "identity":
        # RFC 9110, section 12.5.3: the answer says which codings are understood.
        raise Problem(415, "send the body without a content coding", headers={"Accept-Encoding": "identity"})
    framing = req.get_header("Transfer-Encoding", default="chunked")
    if framing.strip().lower() != "chunked":
        raise Problem(501, "send the body with no transfer coding but chunked")  # RFC 9112, section 6.1


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than the {limit} bytes that are read here")
