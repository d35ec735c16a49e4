"""Writing chunks of rows, without those that PostgreSQL refuses."""

import psycopg2
from sqlalchemy import Connection

from worker.adapters.sql.loading import blame
from worker.adapters.sql.loading.block import Block
from worker.adapters.sql.loading.rejections import Rejections
from worker.adapters.sql.loading.row import Row
from worker.adapters.sql.loading.target import Append, Target


class Writer:
    """Writes rows into a target and rejects those that it refuses."""

    def __init__(self, connection: Connection, target: Target, rejections: Rejections) -> None:
        self._connection = connection
        self._target = target
        self._rejections = rejections

    def write(self, rows: list[Row]) -> int:
        """Write what can be written of the rows, in their order; how many that were.

        Raises:
            Refused: too many rows were rejected.
            psycopg2.Error: what is wrong is none of the rows.
        """
        written = 0
        parts = [rows]  # a stack; the part to be written next is on top
        while parts:
            part = parts.pop()
            refused = self._try(part)
            if refused is None:
                written += len(part)
            else:
                parts += filter(None, reversed(self._divide(part, refused)))
        return written

    def write_block(self, block: Block, target: Append) -> bool:
        """Write a block, or nothing of it where PostgreSQL refuses one of its rows; whether it is written.

        Raises:
            psycopg2.Error: what is wrong is none of the rows.
        """
        try:
            target.put_block(block)
        except psycopg2.Error as error:
            if not blame.is_of_a_row(error):
                raise
            target.take_back()
            return False
        return True

    def _try(self, rows: list[Row]) -> psycopg2.Error | None:
        """What PostgreSQL has against the rows; then none of them is written."""
        try:
            with self._connection.begin_nested():
                self._target.put(rows)
        except psycopg2.Error as error:
            if blame.is_of_a_row(error):
                return error
            raise
        return None

    def _divide(self, rows: list[Row], refused: psycopg2.Error) -> list[list[Row]]:
        """What is left to be tried: before and after the row to blame, or the halves where none is named."""
        index = blame.position(refused, len(rows))
        if index is None:
            middle = len(rows) // 2
            return [rows[:middle], rows[middle:]]
        self._rejections.add(rows[index].line, blame.reason(refused), rows[index].text)
        return [rows[:index], rows[index + 1 :]]
