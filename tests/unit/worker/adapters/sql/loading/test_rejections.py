"""How many rows may be rejected, and what is kept of them."""

import csv
import io

import pytest

from worker.adapters.sql.loading.rejections import READ_ON, Refused, Rejections


def rows_of(rejections: Rejections) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rejections.csv(), newline="")))


def test_without_rejected_rows_there_is_no_file() -> None:
    rejections = Rejections(0)
    rejections.settle()
    assert (rejections.count, rejections.csv()) == (0, None)


def test_rejected_rows_stand_in_the_order_of_the_file() -> None:
    rejections = Rejections(2)
    rejections.add(7, "id: no", "x,y\r\n")
    rejections.add(3, "is no CSV", '"a"b\n')
    rejections.settle()
    assert rows_of(rejections) == [
        {"line": "3", "reason": "is no CSV", "row": '"a"b'},
        {"line": "7", "reason": "id: no", "row": "x,y"},
    ]


def test_one_more_than_may_be_is_refused_at_the_end_of_the_file() -> None:
    rejections = Rejections(1)
    rejections.add(9, "no", "x")
    rejections.add(8, "never", "y")
    with pytest.raises(Refused) as caught:
        rejections.settle()
    assert str(caught.value) == "rejected rows: 2, allowed: 1 (the first: line 8: never)"


@pytest.mark.parametrize(("allowed", "enough"), [(0, READ_ON), (READ_ON + 500, READ_ON + 500)])
def test_reading_stops_when_more_would_tell_nothing(allowed: int, enough: int) -> None:
    rejections = Rejections(allowed)
    for line in range(enough):
        rejections.add(line, "no", "x")
    with pytest.raises(Refused, match=f"rows: {enough + 1}, .* the file was not read further"):
        rejections.add(enough, "no", "x")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"])  # noqa: RUF001
def test_no_cell_is_a_formula(start: str) -> None:
    rejections = Rejections(1)
    rejections.add(1, f"{start}column: no", f"{start}1+cmd|'/C calc'!A0")
    (row,) = rows_of(rejections)
    assert row == {"line": "1", "reason": f"'{start}column: no", "row": f"'{start}1+cmd|'/C calc'!A0"}


def test_what_is_kept_is_cut_and_can_be_stored() -> None:
    rejections = Rejections(2)
    rejections.add(1, "r" * 1000, "x" * 1000)
    rejections.add(2, "NUL", "a\0b\udcff")
    first, second = rows_of(rejections)
    assert (len(first["reason"]), len(first["row"]), first["row"][-2:]) == (300, 500, "x…")
    assert second["row"] == "a\ufffdb?"
