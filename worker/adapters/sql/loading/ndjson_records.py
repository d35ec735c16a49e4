"""Rows of an NDJSON file: one JSON object a line."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from worker.adapters.sql.loading.rejections import Rejections
from worker.adapters.sql.loading.relation import Column, Relation
from worker.adapters.sql.loading.row import Misfit, Row, encode
from worker.contract.misfits import misfit
from worker.contract.ports import LoadRequest


class NdjsonRecords:
    """The rows of a file. Values stay as they are written: numbers lose no digit, nested JSON no order.

    A column that a line leaves out gets its default, or with upsert keeps what an existing row has.
    """

    def __init__(
        self, lines: Iterable[bytes], request: LoadRequest, relation: Relation, rejections: Rejections
    ) -> None:
        self._lines = lines
        self._renamed = request.columns
        self._columns = relation.columns
        # What a row may leave out. Without a default that is the same as NULL, and rows that leave out
        # different columns can go to PostgreSQL together.
        self._optional = frozenset(
            name for name, column in relation.columns.items() if column.has_default or relation.key
        )
        self._rejections = rejections
        self._objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
        self._strings = msgspec.json.Decoder(str)

    def __iter__(self) -> Iterator[Row]:
        """Read on; what cannot be a row is rejected.

        Raises:
            Refused: too many were rejected.
        """
        for number, line in enumerate(self._lines, 1):
            if not line.isspace():
                text = line.decode(errors="replace")
                try:
                    yield self._row(number, line, text)
                except Misfit as reason:
                    self._rejections.add(number, str(reason), text)

    def _row(self, number: int, line: bytes, text: str) -> Row:
        values = self._named(self._decode(line))
        columns = tuple(name for name in self._columns if name in values or name not in self._optional)
        if not columns:
            raise Misfit("gives no column a value")  # and COPY takes no row without one
        return Row(number, text, columns, encode(self._value(name, values) for name in columns))

    def _decode(self, line: bytes) -> Mapping[str, msgspec.Raw]:
        try:
            return self._objects.decode(line)
        except msgspec.ValidationError as error:
            raise Misfit(f"is no JSON object: {misfit(error, dict).reason}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Misfit(f"is no JSON object: {error}") from None

    def _named(self, fields: Mapping[str, msgspec.Raw]) -> dict[str, bytes]:
        """The values by the columns that they are for."""
        values = {self._renamed.get(field, field): bytes(value) for field, value in fields.items()}
        if unknown := sorted(values.keys() - self._columns.keys()):
            raise Misfit(f"there is no column {unknown[0]!r} to load")
        if len(values) < len(fields):
            raise Misfit("two fields are for the same column")
        return values

    def _value(self, name: str, values: Mapping[str, bytes]) -> str | None:
        written = values.get(name, b"null")
        return None if written == b"null" else self._text(self._columns[name], written)

    def _text(self, column: Column, written: bytes) -> str:
        """What PostgreSQL is to read."""
        try:
            if written[:1] == b'"' and not column.json:
                return self._strings.decode(written)
            text = written.decode()
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Misfit(f"{column.name}: {error}") from None
        if written[:1] in b"{[" and not column.json:
            raise Misfit(f"{column.name}: an object or an array fits no column but json")
        return text
