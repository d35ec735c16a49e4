"""What every job says to the ledger, by the driver's own cursor.

SQLAlchemy compiles and wraps a statement for whatever may be done with it; around a claim and an outcome that
was a seventh of what a job costs its process.
"""

from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy import Connection


def rows(connection: Connection, statement: str, words: Mapping[str, object]) -> list[dict[str, Any]]:
    """Execute a statement, and give its rows by the names of their columns.

    Args:
        connection: of an open transaction, or `at_once`.
        statement: as the driver takes it, with `%(name)s` for each word.
        words: by their names.

    Raises:
        DBAPIError: as SQLAlchemy raises it; a connection that was lost is given up, and the error knows.
    """
    driver: Any = connection.connection.driver_connection
    cursor: Any = None
    try:
        cursor = driver.cursor()
        cursor.execute(statement, words)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]
    except psycopg2.Error as error:
        # As SQLAlchemy's own: with a lost connection it gives up all that the pool opened before. Without the
        # words, for payloads must not reach logs and errors.
        connection._handle_dbapi_exception(error, statement, None, cursor, None)  # noqa: SLF001
    finally:
        if cursor is not None:
            cursor.close()
