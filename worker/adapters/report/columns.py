"""The columns of a table as a reader sees them: the definition's word, or else what the query says."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from worker.adapters.sql.rows import SqlColumn
from worker.contract import Fatal
from worker.definitions import Column, ReportTable
from worker.definitions.report import Format

_NUMERIC = frozenset({"integer", "number", "percent", "duration"})


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A column."""

    name: str  # in the query
    title: str
    format: Format
    decimals: int
    total: bool

    @property
    def numeric(self) -> bool:
        """Whether it is set to the right, so that digits of the same weight stand in one line."""
        return self.format in _NUMERIC


def shown(definition: ReportTable, given: Sequence[SqlColumn]) -> tuple[Shown, ...]:
    """The columns that a query gives, as its table's definition wants them shown.

    Raises:
        Fatal: the definition speaks of a column that there is not, or sums what has no sum.
    """
    counted = Counter(column.name for column in given)
    if unknown := sorted(definition.columns.keys() - counted):
        raise Fatal(f"the query gives no column {unknown[0]!r}; it gives: {', '.join(counted)}")
    if doubled := [name for name, count in counted.items() if count > 1]:
        raise Fatal(f"the query gives two columns {doubled[0]!r}: name them apart, with AS")
    return tuple(_shown(column, definition.columns.get(column.name, Column())) for column in given)


def _shown(column: SqlColumn, wish: Column) -> Shown:
    if wish.total and column.type not in _NUMERIC:
        raise Fatal(f"the column {column.name!r} is {column.type}, which has no total")
    return Shown(
        name=column.name,
        title=wish.title or column.name,
        format=wish.format or column.type,
        decimals=wish.decimals,
        total=wish.total,
    )
