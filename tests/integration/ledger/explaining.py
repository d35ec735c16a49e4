"""What PostgreSQL does for each statement that some code sends: its plan, carried out and taken back."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from unittest.mock import patch

import msgspec
from sqlalchemy import Connection, event

from worker.ledger import calls

_SETTINGS = re.compile(r"(?:\s*SET [^;]*;)*\s*")  # that may stand before a statement
_EXPLAINABLE = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF, FORMAT JSON) "

Node = Mapping[str, Any]


class Explained(msgspec.Struct, frozen=True):
    """A statement with its plan."""

    statement: str  # as SQLAlchemy sends it, without the values
    plan: Node

    @property
    def looked_at(self) -> float:
        """How much it read: rows, whether it used them or not, and pages where they were found by these."""
        return sum(_rows(scan) for scan in self._scans()) + sum(_pages(node) for node in _nodes(self.plan))

    @property
    def read_whole(self) -> set[str]:
        """The tables that it read from the first page to the last."""
        return {scan["Relation Name"] for scan in self._scans() if scan["Node Type"] == "Seq Scan"}

    def partitions(self, table: str) -> set[str]:
        """The partitions of a table in which it looked for something."""
        names = {scan["Relation Name"] for scan in self._scans() if scan["Actual Loops"]}
        return {name for name in names if name.startswith(f"{table}_")}

    def _scans(self) -> Iterator[Node]:
        return (
            node
            for node in _nodes(self.plan)
            if "Relation Name" in node and node["Node Type"] != "ModifyTable"
        )


@contextmanager
def explained(connection: Connection) -> Iterator[list[Explained]]:
    """Collect what is sent on a connection meanwhile, with the values that it has; it takes effect once."""
    found: list[Explained] = []

    def explain(_: Any, cursor: Any, statement: str, parameters: Any, *_more: Any) -> None:
        bare = _SETTINGS.sub("", statement, count=1)
        if bare.startswith(_EXPLAINABLE):
            cursor.execute("SAVEPOINT explained")
            cursor.execute(_EXPLAIN + bare, parameters)
            [[[answer]]] = cursor.fetchall()
            cursor.execute("ROLLBACK TO explained; RELEASE explained")
            found.append(Explained(statement, answer["Plan"]))

    def explain_call(_: Connection, statement: str, words: Mapping[str, object]) -> list[dict[str, Any]]:
        with driver.cursor() as cursor:
            explain(None, cursor, statement, words)
        return call(connection, statement, words)

    driver, call = cast("Any", connection.connection.driver_connection), calls.rows
    event.listen(connection, "before_cursor_execute", explain)
    try:
        with patch.object(calls, "rows", explain_call):
            yield found
    finally:
        event.remove(connection, "before_cursor_execute", explain)


def _nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _rows(scan: Node) -> float:
    return float(scan["Actual Loops"] * (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)))


def _pages(node: Node) -> int:
    """Of a function, inside of which no plan tells of rows, or of a bitmap that names pages only."""
    if node["Node Type"] == "Function Scan" and "Plans" not in node:
        return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])
    return int(node.get("Lossy Heap Blocks", 0))
