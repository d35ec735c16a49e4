"""Sums below a table."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.worker.adapters.report.tables import column, table
from worker.contract import Fatal
from worker.definitions.report import Format


def total(format_: Format, values: list[Any]) -> Any:
    summed = table({"n": format_}, [[value] for value in values], columns={"n": column(total=True)})
    for _ in summed.batches():
        pass
    return summed.totals.of(0)


@pytest.mark.parametrize(
    ("format_", "values", "expected"),
    [
        ("integer", [2**62] * 5, 5 * 2**62),
        ("number", [Decimal("0.1")] * 10, Decimal("1.0")),
        ("number", [0.1] * 10, Decimal("1.0")),
        ("number", [Decimal(10) ** 60, Decimal("0.01")], Decimal("1" + "0" * 60 + ".01")),
        ("integer", [1, None, 2], 3),
        ("integer", [None], None),
        ("integer", [], None),
        ("duration", [timedelta(hours=20), timedelta(hours=5)], timedelta(hours=25)),
    ],
)
def test_a_total_is_exact(format_: Format, values: list[Any], expected: Any) -> None:
    assert total(format_, values) == expected


def test_opposite_infinities_have_no_sum_and_break_nothing() -> None:
    assert str(total("number", [float("inf"), float("-inf")])) == "NaN"


def test_a_text_has_no_total() -> None:
    with pytest.raises(Fatal, match="table 'days': the column 'n' is text, which has no total"):
        total("text", ["1"])


def test_a_column_that_the_query_does_not_give_is_named_with_those_it_gives() -> None:
    with pytest.raises(Fatal, match="table 'days': the query gives no column 'b'; it gives: a, c"):
        table({"a": "text", "c": "text"}, [], columns={"b": column()})
