"""Where something stands in a TOML file: the parser gives values without their lines."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

# What may hide the end of a statement: strings and comments, brackets, and the ends of lines themselves.
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?!")'
    r"|'''.*?'''(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)
_DEPTH = {"[": 1, "{": 1, "]": -1, "}": -1}


class Lines:
    """The statements of a file, with their lines.

    Args:
        text: valid TOML.
    """

    def __init__(self, text: str) -> None:
        self._statements = list(_placed(text))

    def of(self, path: Sequence[str]) -> int:
        """The line, counted from 1, of the statement that brings in what the path names.

        A key that is missing is looked for at its table, and so on up to the first line.
        """
        line, held = 1, 0
        for begins, table, document in self._statements:
            inside = len(table) if tuple(path[: len(table)]) == table else None
            if inside is not None and (depth := inside + _depth(document, path[inside:])) > held:
                line, held = begins, depth
        return line


def _placed(text: str) -> Iterator[tuple[int, tuple[str, ...], dict[str, Any]]]:
    """Each statement's line, the table in which it stands, and what it says by itself."""
    table: tuple[str, ...] = ()
    for line, statement in _split(text):
        document = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = ()
            yield line, table, document
            table = _only_path(document)
        elif document:
            yield line, table, document


def _split(text: str) -> Iterator[tuple[int, str]]:
    """The statements: what stands between two ends of lines outside of strings and brackets."""
    begins = depth = 0
    line = 1
    for token in _TOKEN.finditer(text):
        depth += _DEPTH.get(token[0], 0)
        if token[0] == "\n" and depth == 0:
            yield line, text[begins : token.start()]
            line += text.count("\n", begins, token.end())
            begins = token.end()
    yield line, text[begins:]


def _only_path(document: object) -> tuple[str, ...]:
    """The keys of the table that a header opens."""
    if isinstance(document, dict) and document:
        ((key, inner),) = document.items()
        return (key, *_only_path(inner))
    return ()


def _depth(document: object, path: Sequence[str]) -> int:
    """How many keys of the path the document holds."""
    for depth, key in enumerate(path):
        if not isinstance(document, dict) or key not in document:
            return depth
        document = document[key]
    return len(path)
