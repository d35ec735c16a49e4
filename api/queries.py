"""Query parameters: validated as strictly as bodies, for a misspelt filter must not look like an answer."""

import base64
import binascii
import re
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from api.applications import Request
from api.errors import invalid
from worker.contract.misfits import TIMES, UNKNOWN
from worker.enqueue import Refused, refusal

T = TypeVar("T", bound=msgspec.Struct)

_ID_BYTES = 16
_UNESCAPED = re.compile(r"[0-9T:.-]{1,40} [0-9]{2}:[0-9]{2}", re.ASCII)
_NUMBER = re.compile(r"[0-9.eE+-]*$")


def query(req: Request, parameters: type[T]) -> T:
    """The query parameters as a struct, which names and constrains them.

    Raises:
        Problem: 400, one is unknown, repeated or out of range.
    """
    try:
        asked = msgspec.convert(req.params, parameters, strict=False)
    except msgspec.ValidationError as error:
        raise invalid(400, _quoted(req, refusal(error, parameters))) from None
    # What is lax about numbers takes the word null for none at all, and a number for a time.
    for name, word in req.params.items():
        value = getattr(asked, name)
        if value is None:
            raise invalid(400, Refused(name, "is null; leave it out instead"))
        if isinstance(value, datetime) and _NUMBER.match(str(word)):
            raise invalid(400, Refused(name, f"is a number; write it as in {TIMES['datetime']}"))
    return asked


def _quoted(req: Request, refused: Refused) -> Refused:
    """The same, with what was read where the + of an offset came as a space."""
    given = req.params.get(refused.field)
    if isinstance(given, list) and not refused.reason.startswith(UNKNOWN):
        return Refused(refused.field, "is given more than once")
    word = str(given)
    if not _UNESCAPED.fullmatch(word):
        return refused
    return Refused(refused.field, f"{refused.reason}; it was read as {word!r}: write + as %2B, or use Z")


def page_token(last: UUID) -> str:
    """Where the next page begins, opaque to clients."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def page_start(token: str) -> UUID:
    """The id that a page token stands for.

    Raises:
        Problem: 400, this API gave no such token.
    """
    try:
        data = base64.b64decode(token + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != _ID_BYTES:
        raise invalid(400, Refused("page_token", "is none that was given out here"))
    return UUID(bytes=data)
