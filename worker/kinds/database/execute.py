"""`database.execute`: run a SQL statement that the operator named."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from worker.contract import DATABASE, Backoff, Context, Payload, Result, kind, minutes
from worker.contract.ports import ExecuteRequest, StatementExecutor

# The last look-ahead in the pattern, for Python's $ would let a newline pass.
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9_]{0,62}$(?!\n)",
        extra={"misfit": "is no name of one: small letters, digits and `_`, up to 63, a letter first"},
        max_length=63,
        description="Statement that the operator declared.",
        examples=["close_orders"],
    ),
]
Params = Annotated[
    dict[Annotated[str, Meta(max_length=63)], Any],
    Meta(
        max_length=200,
        description="Values of the statement's parameters, by name; its definition says which there are and"
        " what fits. Dates, times and ids are strings.",
        examples=[{"before": "2026-01-31", "regions": ["north", "south"]}, {}],
    ),
]


class DatabaseExecute(Payload, frozen=True, kw_only=True):
    """Which statement to run, and with what."""

    EXAMPLE: ClassVar[Mapping[str, Any] | None] = {"statement": "make_weather"}
    NEEDS = (
        "A statement of this name that the operator declared: the demo's definitions have it"
        " (`JOBYARD_DEFINITIONS=ops/tour/definitions ./ops/up`)."
    )

    statement: Name
    params: Params = {}  # noqa: RUF012 - msgspec makes a new one for each payload

    def describe(self) -> str:
        """The statement's name; its parameters are the client's own business."""
        return self.statement


class DatabaseExecuted(Result, frozen=True, kw_only=True):
    """What the statement did."""

    statement: Annotated[str, Meta(description="Its name.", examples=["close_orders"])]
    rows_affected: Annotated[int, Meta(description="Rows that it wrote, or else returned.", examples=[2])]
    rows: Annotated[
        list[dict[str, Any]],
        Meta(
            description="Rows that it returned, by column. Exact numbers, dates, times (RFC 3339) and ids are"
            " strings, bytes are base64, and what JSON does not know is as PostgreSQL writes it.",
            examples=[[{"id": "1", "total": "12.50"}]],
        ),
    ]


@kind(
    "database.execute",
    queue=DATABASE,
    max_attempts=5,
    deadline=minutes(30),
    backoff=Backoff(base=5.0, cap=600.0),
)
def execute(payload: DatabaseExecute, ctx: Context, executor: StatementExecutor) -> DatabaseExecuted:
    """Run a named SQL statement with typed, bound parameters on its data source.

    It takes effect once, however often the job is attempted: a later attempt returns what the first one did.
    """
    ctx.check_cancelled()
    executed = executor.execute(
        ExecuteRequest(
            job_id=ctx.job_id,
            kind=ctx.kind,
            statement=payload.statement,
            params=payload.params,
            timeout=ctx.remaining(),
        )
    )
    if executed.repeated:
        ctx.log.info("already_applied")
    return DatabaseExecuted(
        statement=payload.statement, rows_affected=executed.rows_affected, rows=executed.rows
    )
