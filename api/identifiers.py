"""Ids as they stand in paths."""

from uuid import UUID

_LENGTH = 36  # of the one form that is given out; the others that Python reads would be further names


def parse_id(text: str) -> UUID | None:
    """The id that a part of a path is, or None."""
    try:
        return UUID(text) if len(text) == _LENGTH else None
    except ValueError:
        return None
