"""What PostgreSQL's errors mean for a job."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2.errors import QueryCanceled
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from worker.contract import Fatal, Retryable

# SQLSTATE classes (PostgreSQL documentation, appendix A) after which another attempt may succeed: connection,
# serialization and deadlock, resources, objects in use, intervention by an operator, system error; and of
# class 25 the two by which a server ends a session that kept its transaction open for too long.
_PASSING = ("08", "40", "53", "55", "57", "58", "25P03", "25P04")


@contextmanager
def translated(source: str) -> Iterator[None]:
    """Raise `Retryable` or `Fatal` in place of what PostgreSQL raised.

    The server's words reach the client without their detail, which may quote rows of others.
    """
    try:
        yield
    except DBAPIError as error:
        raise _verdict(source, error.orig) from error
    except psycopg2.Error as error:  # of a cursor that SQLAlchemy does not watch: COPY needs one
        raise _verdict(source, error) from error
    except SQLAlchemyError as error:
        raise Fatal(f"data source {source!r}: {type(error).__name__}") from error


def _verdict(source: str, error: BaseException | None) -> Fatal | Retryable:
    if isinstance(error, QueryCanceled):
        return Retryable(f"data source {source!r}: a statement ran longer than its time limit")
    code = getattr(error, "pgcode", None)
    if code is None or code.startswith(_PASSING):
        return Retryable(f"data source {source!r} is not available ({code or type(error).__name__})")
    words = getattr(getattr(error, "diag", None), "message_primary", None) or type(error).__name__
    return Fatal(f"data source {source!r}: {words}")
