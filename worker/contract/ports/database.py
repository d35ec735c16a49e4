"""Writing into data sources: files into tables, and named statements.

Both happen once for each job, however often it is attempted: what was done and the note of it are committed
together, and a later attempt is given what the first one recorded.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import msgspec

Format = Literal["csv", "ndjson"]
Mode = Literal["append", "upsert", "replace"]


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One file for one table."""

    job_id: str
    kind: str
    source: str  # a data source that the operator declared
    table: str  # one that its definition lists
    mode: Mode
    format: Format
    delimiter: str = ","  # of CSV
    null: str = ""  # the field of a CSV that stands for NULL
    columns: Mapping[str, str] = {}  # field in the file -> column, where the names differ
    max_rejected: int = 0  # with more rejected rows than that nothing is applied
    timeout: float  # seconds that one statement may run, where the source does not allow less


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the file's rows."""

    rows_applied: int
    rows_rejected: int
    rejected: str | None = None  # CSV with the columns line, reason, row; None where no row was rejected
    refusal: str | None = None  # why nothing was applied; None where it was
    repeated: bool = False  # an earlier attempt did it, and this one nothing


class TableLoader(Protocol):
    """Loads files into tables."""

    def load(
        self,
        request: LoadRequest,
        file: AbstractContextManager[Iterable[bytes]],
        between: Callable[[int], None],
    ) -> Loaded:
        """Load all good rows of a file in one transaction.

        Args:
            request: what to load, and where.
            file: the file, in pieces; it is entered only where no earlier attempt loaded it.
            between: called after a few thousand rows at most with the number of rows read; what it raises
                ends the load, and nothing of it stays.

        Raises:
            Fatal: the table, or the file's header, is not what the operator allows, or PostgreSQL refuses.
            Retryable: the source is away, or a statement took too long.
        """


class ExecuteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a named statement."""

    job_id: str
    kind: str
    statement: str
    params: Mapping[str, Any]  # as the client gave them; the definition says what fits
    timeout: float  # seconds that it may run, where its source does not allow less


class Executed(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement did."""

    rows_affected: int
    rows: list[dict[str, Any]]  # nothing in them but what JSON has
    repeated: bool = False  # an earlier attempt did it, and this one nothing


class StatementExecutor(Protocol):
    """Runs the statements that the operator named."""

    def execute(self, request: ExecuteRequest) -> Executed:
        """Run a statement in one transaction.

        Raises:
            Fatal: there is no such statement, a parameter does not fit, it returned too many rows, or
                PostgreSQL refuses it; nothing is applied then.
            Retryable: the source is away, or the statement took too long.
        """
