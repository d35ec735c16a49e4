"""Rows of a CSV file (RFC 4180), whose first line names the columns."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from worker.adapters.sql.loading.block import Block, Blocks
from worker.adapters.sql.loading.lines import LARGEST_RECORD, PhysicalLines, too_large
from worker.adapters.sql.loading.rejections import Refused, Rejections
from worker.adapters.sql.loading.relation import Relation
from worker.adapters.sql.loading.row import Misfit, Row, encode
from worker.contract import Fatal
from worker.contract.ports import LoadRequest

_NAMED = 10  # columns that a message names
_LONGEST_NAME = 63  # characters; PostgreSQL's are no longer


class CsvRecords:
    """The rows of a file; its header is read at once.

    Raises:
        Fatal: the header does not name columns that can be loaded, and all that must be.
    """

    def __init__(
        self, lines: PhysicalLines, request: LoadRequest, relation: Relation, rejections: Rejections
    ) -> None:
        csv.field_size_limit(LARGEST_RECORD)  # the module's own state, which nothing else here depends on
        self._delimiter = request.delimiter
        self._null = request.null
        self._rejections = rejections
        self._file = lines
        self._begin(lines, 1)
        self._columns = _columns(self._header(), request, relation)

    def _begin(self, lines: Iterable[bytes], number: int) -> None:
        """Read on with these lines, the first of which has that number."""
        self._lines = iter(lines)
        self._before = number - 1
        self._record: list[str] = []  # the physical lines of the record that is being read
        self._reader = csv.reader(self._feed(), delimiter=self._delimiter, strict=True)

    @property
    def _line(self) -> int:
        """The number of the line that was read last."""
        return self._before + self._reader.line_num

    def blocks(self) -> Iterator[Block]:
        """Whole records at once, as far as COPY reads them as we do; the rest is to be iterated."""
        number = self._line + 1
        blocks = Blocks(self._delimiter, self._null)
        for data in blocks.of(self._file):
            yield Block(number, self._columns, data, self._delimiter, self._null)
            number += data.count(b"\n")
        self._begin(chain(io.BytesIO(blocks.rest), self._file), number)

    def rows_of(self, block: Block) -> Iterator[Row]:
        """The rows of a block one by one."""
        self._begin(io.BytesIO(block.data), block.line)
        return iter(self)

    def __iter__(self) -> Iterator[Row]:
        """Read on; what cannot be a row is rejected.

        Raises:
            Refused: where rows begin and end cannot be told, or too many were rejected.
        """
        while (fields := self._next()) is not None:
            if not fields:
                continue  # an empty line, or one that was rejected
            line, row = self._begins, "".join(self._record)
            try:
                yield Row(line, row, self._columns, self._encode(fields))
            except Misfit as reason:
                self._rejections.add(line, str(reason), row)

    def _header(self) -> list[str]:
        try:
            header = next(self._reader, None)
        except csv.Error as error:
            raise Fatal(f"line 1, which must name the columns, is no CSV: {error}") from None
        if not header:
            raise Fatal("line 1 must name the columns, and is empty")
        return header

    def _next(self) -> list[str] | None:
        """The fields of the next record; none of one that was rejected, None at the end."""
        self._begins = self._line + 1
        self._record.clear()
        try:
            return next(self._reader, None)
        except csv.Error as error:
            if len(self._record) > 1:
                # The lines in between may have been rows of their own: leaving them out would lose them.
                raise Refused(
                    f"the quotation that begins in line {self._begins} goes wrong in line"
                    f" {self._line} ({error}), so where rows begin after it cannot be told"
                ) from None
            self._rejections.add(self._begins, str(error), "".join(self._record))
            return []

    def _encode(self, fields: list[str]) -> bytes:
        if len(fields) != len(self._columns):
            raise Misfit(f"has {len(fields)} fields, and the header {len(self._columns)}")
        null = self._null
        return encode([None if field == null else field for field in fields])

    def _feed(self) -> Iterator[str]:
        """The lines for the reader, kept until their record is complete."""
        size = 0
        for line in self._lines:
            size = len(line) + (size if self._record else 0)
            if size > LARGEST_RECORD:
                raise too_large(self._begins)
            self._record.append(line.decode(errors="surrogateescape"))
            yield self._record[-1]


def _some(names: Collection[str]) -> str:
    """Names for a message, which a hostile header must not make as large as itself."""
    told = [repr(name[:_LONGEST_NAME]) for name in sorted(names)[:_NAMED]]
    more = len(names) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _columns(header: list[str], request: LoadRequest, relation: Relation) -> tuple[str, ...]:
    columns = tuple(request.columns.get(field, field) for field in header)
    known = ", ".join(relation.columns)
    faults = {
        f"there is no column %s to load in {relation}, only {known}": set(columns) - relation.columns.keys(),
        "the column %s is named twice": {name for name, count in Counter(columns).items() if count > 1},
        "the column %s is missing, and has no default": set(relation.required) - set(columns),
        "there is no field %s to rename": set(request.columns) - set(header),
    }
    found = [fault % _some(names) for fault, names in faults.items() if names]
    if found:
        raise Fatal(f"line 1: {'; '.join(found)}")
    return columns
