"""Which row PostgreSQL means when it refuses a chunk, and why."""

import re

import psycopg2

# SQLSTATE (PostgreSQL documentation, appendix A) of what is wrong with a row and not with the statement:
# cardinality, data, integrity, a view's check, a program limit (a key too long for its index), RAISE.
_OF_A_ROW = ("21", "22", "23", "44", "54", "P0")
_OF_A_KEY = ("23503", "23505", "23P01")  # foreign key, unique, exclusion

_COPY = re.compile(r"^COPY \S+, line (\d+)(?:, column (.+?))?(?::|$)", re.MULTILINE)
_KEY = re.compile(r"\((.+?)\)=\(")  # in any language of the server


def is_of_a_row(error: psycopg2.Error) -> bool:
    """Whether the chunk without some row may be taken."""
    return (error.pgcode or "").startswith(_OF_A_ROW)


def position(error: psycopg2.Error, rows: int) -> int | None:
    """The index of the row that is meant, of as many as were sent; None where PostgreSQL does not say."""
    if rows == 1:
        return 0
    context = _COPY.search(error.diag.context or "")
    index = int(context[1]) - 1 if context else -1
    return index if 0 <= index < rows else None


def reason(error: psycopg2.Error) -> str:
    """The server's words, after the column or columns that they are about, where that is known.

    The detail is left out, as elsewhere: of an exclusion constraint it quotes the other row.
    """
    words = error.diag.message_primary or type(error).__name__
    column = error.diag.column_name or _key(error) or _column(error)
    return f"{column}: {words}" if column else words


def _column(error: psycopg2.Error) -> str | None:
    context = _COPY.search(error.diag.context or "")
    return context[2] if context else None


def _key(error: psycopg2.Error) -> str | None:
    named = _KEY.search(error.diag.message_detail or "") if error.pgcode in _OF_A_KEY else None
    return named[1] if named else None
