"""How ids travel to PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID


def uuid_array(ids: Sequence[UUID]) -> str:
    """Ids as a PostgreSQL array literal: a constant already when the statement is planned."""
    return "{" + ",".join(map(str, ids)) + "}"
