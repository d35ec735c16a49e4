"""What every job says to the ledger, by the driver's own cursor.

SQLAlchemy compiles and wraps a statement for whatever may be done with it; around a claim and an outcome that
was a seventh of what a job costs its process.
"""

from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError


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
    dialect: Any = connection.dialect
    with driver.cursor() as cursor:
        try:
            cursor.execute(statement, words)
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except psycopg2.Error as error:
            lost = dialect.is_disconnect(error, driver, cursor)
            if lost:
                connection.invalidate(error)
            # Without the words: payloads must not reach logs and errors.
            raise DBAPIError.instance(
                statement,
                None,
                error,
                psycopg2.Error,
                hide_parameters=True,
                connection_invalidated=lost,
            ) from error
