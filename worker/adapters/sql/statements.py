"""The port `StatementExecutor`: named statements with typed, bound parameters."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Connection,
    CursorResult,
    Date,
    DateTime,
    Numeric,
    Text,
    TextClause,
    Uuid,
    bindparam,
    text,
)
from sqlalchemy.types import TypeEngine

from worker.adapters.sql.markers import Job, Markers, Note
from worker.adapters.sql.rows import representable
from worker.adapters.sql.sources import Sources
from worker.contract import Fatal
from worker.contract.ports import Executed, ExecuteRequest
from worker.definitions import Definitions, Parameter, ParameterError, Statement, bind

LARGEST_RESULT = 900_000  # bytes of JSON; the ledger keeps no result above 1 MiB

_TYPES: Mapping[str, TypeEngine[Any]] = {
    "text": Text(),
    "integer": BigInteger(),
    "number": Numeric(),
    "boolean": Boolean(),
    "date": Date(),
    "timestamp": DateTime(timezone=True),
    "uuid": Uuid(),
    "json": JSON(none_as_null=True),
}
# What may be read through a cursor, row by row; the rows of anything else reach memory all at once.
_QUERY = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:SELECT|VALUES|TABLE)\b", re.IGNORECASE | re.DOTALL)


class SqlStatements:
    """Runs the statements of the definitions, each once for each job."""

    def __init__(self, sources: Sources, definitions: Definitions) -> None:
        self._markers = Markers(sources)
        self._statements = definitions.statements

    def execute(self, request: ExecuteRequest) -> Executed:
        """Run a statement in one transaction; see `StatementExecutor`."""
        statement = self._find(request.statement)
        bound = _bound(statement, request.params)
        job = Job(id=request.job_id, kind=request.kind, source=statement.source, timeout=request.timeout)
        note = self._markers.once(job, lambda connection: _run(connection, bound, statement.max_rows))
        return Executed(**note.result, repeated=note.repeated)

    def _find(self, name: str) -> Statement:
        statement = self._statements.get(name)
        if statement is None:
            known = ", ".join(sorted(self._statements)) or "none"
            raise Fatal(f"there is no statement {name!r}; there are: {known}")
        return statement


def _bound(statement: Statement, params: Mapping[str, Any]) -> TextClause:
    try:
        values = bind(statement.parameters, params)
    except ParameterError as error:
        raise Fatal(f"params: {error}") from None
    return text(statement.sql).bindparams(
        *(
            bindparam(name, values[name], type_=_type(parameter))
            for name, parameter in statement.parameters.items()
        )
    )


def _type(parameter: Parameter) -> TypeEngine[Any]:
    single = _TYPES[parameter.type]
    return ARRAY(single) if parameter.list else single


def _run(connection: Connection, statement: TextClause, max_rows: int) -> Note:
    streamed = bool(_QUERY.match(statement.text))
    with representable():  # the first rows come with the execution
        done = connection.execute(statement, execution_options={"stream_results": streamed})
        rows = _rows(done, max_rows) if done.returns_rows else []
    # Of a cursor PostgreSQL does not say how many rows it has; a statement that makes a table has none.
    affected = len(rows) if streamed else max(done.rowcount, 0)
    return Note(result={"rows_affected": affected, "rows": rows})


def _rows(done: CursorResult[Any], max_rows: int) -> list[dict[str, Any]]:
    """The rows as JSON has them.

    Raises:
        Fatal: they are too many, too large, or have two columns of one name.
    """
    names = list(done.keys())
    if len(set(names)) < len(names):
        raise Fatal(
            f"the statement returns columns with the same name ({', '.join(names)}); nothing was applied"
        )
    rows = [dict(zip(names, row, strict=True)) for row in done.fetchmany(max_rows + 1)]
    if len(rows) > max_rows:
        raise Fatal(f"the statement returned more than {max_rows} rows; nothing was applied")
    encoded = msgspec.json.encode(rows, enc_hook=str)
    if len(encoded) > LARGEST_RESULT:
        raise Fatal(
            f"the statement returned {len(encoded)} bytes, at most {LARGEST_RESULT} fit into a result;"
            " nothing was applied"
        )
    plain: list[dict[str, Any]] = msgspec.json.decode(encoded)
    return plain
