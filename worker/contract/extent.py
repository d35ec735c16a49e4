"""Extent: how deep a JSON document is nested and how many values it has, told without decoding it."""

from array import array
from itertools import accumulate

DEEPEST = 100  # levels of a payload; what reads it again, in whatever language, gets on with so many

_OUTLINE = b"[]{},"
_ELSE = bytes(set(range(256)) - set(_OUTLINE))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes: one level down, one up


def is_shallow(document: bytes) -> bool:
    """Whether well-formed JSON has at most `DEEPEST` levels of arrays and objects."""
    if document.count(b"[") + document.count(b"{") <= DEEPEST:
        return True
    levels = array("b", _outline(document).translate(_STEPS, b","))
    return max(accumulate(levels), default=0) <= DEEPEST


def values_in(document: bytes) -> int:
    """How many values well-formed JSON has at most, all levels together."""
    outline = _outline(document)
    return 1 + sum(outline.count(sign) for sign in (b"[", b"{", b","))


def _outline(document: bytes) -> bytes:
    """Brackets and commas, in their order, without those inside of strings."""
    plain = document.replace(rb"\\", b"").replace(rb"\"", b"")  # every quotation mark left is one of JSON's
    return b"".join(plain.split(b'"')[::2]).translate(None, _ELSE)
