"""A row on its way from a file into a table."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

CHUNK_ROWS = 5000
CHUNK_SIZE = 4 * 1024 * 1024  # characters, about

# PostgreSQL documentation, COPY, "Text Format".
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_NULL = r"\N"


class Row(NamedTuple):
    """One row of a file."""

    line: int  # the physical line on which it begins, counted from 1
    text: str  # as it stands in the file
    columns: tuple[str, ...]  # of the table, for which it has values
    data: bytes  # the values as a line of COPY's text format


class Misfit(ValueError):  # noqa: N818 - the word for such a row
    """A row that no table could take; the text says why, for the client."""


def encode(values: Iterable[str | None]) -> bytes:
    """A line of COPY's text format.

    Raises:
        Misfit: a value holds what no text of PostgreSQL can.
    """
    line = "\t".join([_NULL if value is None else value.translate(_ESCAPES) for value in values])
    if "\0" in line:
        raise Misfit("holds a NUL character")
    try:
        return line.encode() + b"\n"
    except UnicodeEncodeError:  # a byte that was no UTF-8 was read as a lone surrogate
        raise Misfit("is not UTF-8") from None


def chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in lists that go to PostgreSQL at once: rows with the same columns, and not too many."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) == CHUNK_ROWS or size > CHUNK_SIZE or row.columns != chunk[0].columns):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row.text)
    if chunk:
        yield chunk
