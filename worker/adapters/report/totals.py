"""Sums of columns over all rows, exact however many and however large: money must not drift."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Context, Decimal
from typing import Any

from worker.adapters.report.columns import Shown

# As many digits as PostgreSQL's numeric has, on both sides of the point together; nothing traps, as a sum
# of infinities is NaN, which can be shown.
_EXACT = Context(prec=150_000, traps=[])


class Totals:
    """Sums up the columns that have a total; NULLs count for nothing."""

    def __init__(self, columns: Sequence[Shown]) -> None:
        self._sums: dict[int, Any] = {at: None for at, column in enumerate(columns) if column.total}

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Take more rows in."""
        for at, total in self._sums.items():
            for row in rows:
                if (value := row[at]) is not None:
                    total = value if total is None else _plus(total, value)  # noqa: PLW2901 - it grows
            self._sums[at] = total

    def of(self, at: int) -> Any:
        """The sum of a column; None where it has no total, or no values."""
        return self._sums.get(at)

    def __bool__(self) -> bool:
        """Whether any column has a total."""
        return bool(self._sums)


def _plus(total: Any, value: Any) -> Any:
    if isinstance(value, int | timedelta):
        return total + value
    return _EXACT.add(_decimal(total), _decimal(value))


def _decimal(value: Any) -> Decimal:
    """A number as it is written: 0.1 is a tenth, and ten of them are 1."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))
