"""Where something stands in a TOML file: the parser gives values without their lines."""

import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

Path = Sequence[str]


def line_of(text: str, path: Path) -> int:
    """The line, counted from 1, of the statement that brings in what the path names.

    A key that is missing is looked for at its table, and so on up to the first line.
    """
    for length in range(len(path), 0, -1):
        for line, document in _growing(text):
            if _holds(document, path[:length]):
                return line
    return 1


def _growing(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The document after each of its statements, with the line on which that statement begins."""
    lines = text.splitlines(keepends=True)
    begins = 1
    for end in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # in the middle of a statement of several lines
        yield begins, document
        begins = end + 1


def _holds(document: object, path: Path) -> bool:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return False
        document = document[key]
    return True
