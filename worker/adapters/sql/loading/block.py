"""Blocks of a CSV file: whole records that PostgreSQL is given as they are, many thousands at once.

Reading them row by row takes five times as long as PostgreSQL does, and hardly a row is wrong. So a block is
only looked at with one expression, which tells where its records end and lets nothing pass that COPY and the
csv module could read in two ways; if PostgreSQL refuses a row of it, its rows are read one by one.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from worker.adapters.sql.loading.lines import PhysicalLines

# What a worker has sent when it is killed must fit into the sockets: a server that waits for a lock with more
# before it than it has room for does not notice.
SIZE = 64 * 1024  # bytes, about

# A line \\. ends the data for COPY before PostgreSQL 18; an empty line is a row for COPY, and none for us.
_RECORDS = r"""(?:(?!\r?\n|\\\.){field}(?:{delimiter}{field})*+\r?\n)*+"""
_FIELD = r"""(?:"[^"]*+(?:""[^"]*+)*+"|[^"{delimiter}\r\n]*+)"""
_END = b"\n\\."
_SPECIAL = frozenset('"\r\n\0')  # which COPY takes neither for a delimiter nor in what stands for NULL


class Block(NamedTuple):
    """Whole records of a file."""

    line: int  # the physical line on which it begins, counted from 1
    columns: tuple[str, ...]  # of the table, for which they have values
    data: bytes
    delimiter: str
    null: str  # the field that stands for NULL

    @property
    def rows(self) -> int:
        """How many records they are: ends of lines outside of quotations.

        COPY's own count leaves out what a trigger of the table took elsewhere.
        """
        return sum(between.count(b"\n") for between in self.data.split(b'"')[::2])


class Blocks:
    """Cuts a file into blocks.

    Args:
        delimiter: between two fields.
        null: the field that stands for NULL.
    """

    def __init__(self, delimiter: str, null: str) -> None:
        self.rest = b""  # what belongs to no block, once they are at an end
        # What a server in another encoding cannot even be told would look like the fault of a row.
        told = (delimiter + null).isascii()
        self._possible = told and not _SPECIAL & {delimiter, *null} and delimiter not in null
        field = _FIELD.format(delimiter=re.escape(delimiter))
        self._records = re.compile(_RECORDS.format(field=field, delimiter=re.escape(delimiter)).encode())

    def of(self, lines: PhysicalLines) -> Iterator[bytes]:
        """The blocks, as far as there are any; the lines after the rest are left where they are."""
        while self._possible and (piece := lines.some(SIZE)):
            self.rest += piece
            found = self._records.match(self.rest)
            end = found.end() if found and _END not in self.rest else 0
            if not end:
                return
            yield self.rest[:end]
            self.rest = self.rest[end:]
