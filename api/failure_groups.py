"""Failures of one cause: errors whose messages say the same but for ids, numbers, names and addresses."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

_LONGEST = 200  # characters of a message without its particulars

# In this order: an address has numbers in it, and a number may be part of an id. Each pattern begins where a
# word does and never goes back, or a long one would cost the square of its length.
_PARTICULARS = (
    (re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"), "<id>"),
    (re.compile(r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*+://[^\s'\"<>]+"), "<url>"),
    (re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)*+"), "<address>"),
    # Not an apostrophe: that stands between letters.
    (re.compile(r"(?<!\w)'[^'\n]*+'(?!\w)"), "'…'"),
    (re.compile(r'(?<!\w)"[^"\n]*+"(?!\w)'), '"…"'),
    (re.compile(r"\b(?=[0-9a-fA-F]*[0-9])(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{8,}\b"), "<hex>"),
    (re.compile(r"\d+(?:\.\d+)*"), "N"),
    (re.compile(r"\s+"), " "),
)


@dataclass
class Group:
    """Failed jobs of one kind, with one type of error and one message but for its particulars."""

    kind: str
    error_type: str
    message: str
    count: int
    first: datetime
    last: datetime
    example: UUID  # the latest accepted


def without_particulars(message: str) -> str:
    """What a message says, whichever job it is about."""
    for pattern, stand_in in _PARTICULARS:
        message = pattern.sub(stand_in, message)
    message = message.strip()
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…"


def grouped(rows: Iterable[Row[Any]]) -> list[Group]:
    """The groups, the largest first.

    Args:
        rows: of `worker.ledger.failures.errors`.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for row in rows:
        key = (row.kind, row.type, without_particulars(row.message))
        new = Group(*key, row.jobs, row.first, row.last, row.example)
        groups[key] = _joined(groups[key], new) if key in groups else new
    return sorted(
        groups.values(), key=lambda group: (-group.count, group.kind, group.error_type, group.message)
    )


def _joined(one: Group, other: Group) -> Group:
    return Group(
        one.kind,
        one.error_type,
        one.message,
        one.count + other.count,
        min(one.first, other.first),
        max(one.last, other.last),
        max(one.example, other.example),
    )
