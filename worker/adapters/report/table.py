"""One table of a report while its rows pass: counted, summed, and never all in memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from worker.adapters.report.columns import Shown, shown
from worker.adapters.report.totals import Totals
from worker.adapters.sql.rows import Rows
from worker.contract import Fatal
from worker.definitions import ReportTable


class Table:
    """A table whose query has been started.

    Args:
        name: its name in the report.
        definition: how it is shown.
        query: starts the query.
        passed: called after each batch.
    """

    def __init__(
        self, name: str, definition: ReportTable, query: Callable[[], Rows], passed: Callable[[], None]
    ) -> None:
        self.name = name
        self.definition = definition
        self.count = 0  # rows so far
        rows = query()
        try:
            self.columns: tuple[Shown, ...] = shown(definition, rows.columns)
        except Fatal as error:
            raise Fatal(f"table {name!r}: {error}") from None
        self.totals = Totals(self.columns)
        self._batches = rows.batches
        self._passed = passed

    @property
    def title(self) -> str:
        """Its heading."""
        return self.definition.title or self.name

    def batches(self) -> Iterator[Sequence[Sequence[Any]]]:
        """All rows, a few hundred at a time; can be walked once."""
        for rows in self._batches:
            self.count += len(rows)
            self.totals.add(rows)
            yield rows
            self._passed()
