"""Finding the rows that a target refuses."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from worker.adapters.sql.loading.rejections import Rejections
from worker.adapters.sql.loading.row import Row
from worker.adapters.sql.loading.writer import Writer


class FakeError(psycopg2.Error):
    """What PostgreSQL would raise; libpq alone can fill in the real one."""

    def __init__(self, pgcode: str, context: str | None = None) -> None:
        super().__init__()
        self.code = pgcode
        self.said = SimpleNamespace(
            context=context, message_primary="no", column_name=None, message_detail=None
        )

    def __getattribute__(self, name: str) -> Any:
        given = {"pgcode": "code", "diag": "said"}
        return super().__getattribute__(given.get(name, name))


@dataclass
class FakeTarget:
    """Refuses rows by their lines, and says which one, or not."""

    bad: set[int]
    tells: bool
    code: str = "22P02"
    written: list[int] = field(default_factory=list)
    puts: int = 0

    def put(self, rows: Sequence[Row]) -> None:
        self.puts += 1
        for index, row in enumerate(rows):
            if row.line in self.bad:
                raise FakeError(
                    self.code, f"COPY people, line {index + 1}, column id" if self.tells else None
                )
        self.written += [row.line for row in rows]


class FakeConnection:
    """Its savepoints need not do anything: the target above writes all rows or none."""

    def begin_nested(self) -> Any:
        return nullcontext()


def write(target: FakeTarget, count: int, rejections: Rejections) -> int:
    rows = [Row(line, f"row {line}", ("id",), b"\n") for line in range(count)]
    return Writer(cast("Any", FakeConnection()), target, rejections).write(rows)


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize(
    "bad", [set(), {0}, {99}, {50}, {49, 50, 51}, set(range(100)), set(range(0, 100, 7))]
)
def test_all_rows_but_the_bad_ones_are_written_in_their_order(bad: set[int], *, tells: bool) -> None:
    target, rejections = FakeTarget(bad, tells), Rejections(100)
    assert write(target, 100, rejections) == 100 - len(bad)
    assert target.written == [line for line in range(100) if line not in bad]
    assert rejections.count == len(bad)


def test_a_row_that_is_named_costs_two_more_tries() -> None:
    target = FakeTarget({10, 20, 30}, tells=True)
    write(target, 5000, Rejections(3))
    assert target.puts == 1 + 3 * 2


def test_a_row_that_is_not_named_is_found_by_halving() -> None:
    target = FakeTarget({4321}, tells=False)
    write(target, 8192, Rejections(1))
    assert target.puts == 1 + 13 * 2


@pytest.mark.parametrize("code", ["42501", "57014", "40P01", "08006", "25006"])
def test_what_is_no_fault_of_a_row_is_passed_on(code: str) -> None:
    with pytest.raises(FakeError):
        write(FakeTarget({5}, tells=True, code=code), 10, Rejections(10))


def test_a_line_that_was_never_sent_is_not_believed() -> None:
    """The words of a trigger may look like PostgreSQL's own."""

    class Liar(FakeTarget):
        def put(self, rows: Sequence[Row]) -> None:
            try:
                super().put(rows)
            except FakeError as error:
                error.said.context = "COPY people, line 999"
                raise

    target, rejections = Liar({3}, tells=True), Rejections(1)
    assert write(target, 10, rejections) == 9
    assert rejections.csv() == "line,reason,row\r\n3,no,row 3\r\n"
