"""One part of a file (RFC 9110, section 14)."""

import falcon
import msgspec

from api.applications import Request
from api.errors import Problem


class Part(msgspec.Struct, frozen=True):
    """Bytes from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1


def wanted_part(req: Request, size: int, tag: str) -> Part | None:
    """The part that the client asks for; None: the whole.

    What is no range of bytes, or several at once, is passed over as the RFC allows, and so is any range
    where If-Range names another version.

    Raises:
        Problem: 416, the part begins behind the end.
    """
    try:
        asked = req.range if req.range_unit == "bytes" and _is_current(req, tag) else None
    except falcon.HTTPInvalidHeader:
        return None
    if asked is None:
        return None
    first, last = asked
    if first < 0:
        first, last = max(0, size + first), size - 1
    elif last < 0 or last >= size:
        last = size - 1
    if first >= size:
        raise Problem(416, f"there are {size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return Part(first, last)


def _is_current(req: Request, tag: str) -> bool:
    condition = req.get_header("If-Range")
    return condition is None or condition == f'"{tag}"'
