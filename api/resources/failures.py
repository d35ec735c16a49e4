"""`/v1/failures`: what jobs failed with lately, by error."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row

from api.acting import whose
from api.answers import answer
from api.applications import Request, Response
from api.cooperation import breathe
from api.failure_groups import Group, grouped
from api.filters import ClientName, Name, listing
from api.queries import query
from api.representations import Id, Links, Time
from worker.enqueue import Moment
from worker.ledger import failures
from worker.ledger.engines import Ledger
from worker.ledger.failures import FailureFilter

_LATELY = timedelta(hours=24)
_MOST = 100  # groups
_TURN = 500  # errors between two pauses


class FailureQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed jobs are meant."""

    kind: Annotated[Name | None, Meta(description="Only jobs of this kind.")] = None
    queue: Annotated[Name | None, Meta(description="Only jobs of this queue.")] = None
    created_after: Annotated[
        Moment | None,
        Meta(description="Only jobs accepted at this time or later (RFC 3339). Unset: within 24 hours."),
    ] = None
    created_before: Annotated[
        Moment | None, Meta(description="Only jobs accepted before this time (RFC 3339).")
    ] = None
    client: Annotated[
        ClientName | None,
        Meta(
            description="Whose jobs, by the client's name, or `*` for everybody's: keys with `operate`."
            " Unset: one's own."
        ),
    ] = None


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one kind that failed with the same error, but for ids, numbers, names and addresses."""

    kind: Annotated[str, Meta(description="Their kind.", examples=["web.fetch"])]
    error_type: Annotated[str, Meta(description="The type of the error.", examples=["ServerError"])]
    message: Annotated[
        str, Meta(description="What it says, without particulars.", examples=["<url> answered N"])
    ]
    count: Annotated[int, Meta(description="How many.", examples=[17])]
    first_failed_at: Annotated[Time, Meta(description="When the first of them ended.")]
    last_failed_at: Annotated[Time, Meta(description="When the last of them ended.")]
    example_id: Id
    links: Links


class FailureList(msgspec.Struct, frozen=True, kw_only=True):
    """Groups, the largest first."""

    failures: Annotated[list[FailureGroup], Meta(description=f"The {_MOST} largest groups.")]
    created_after: Annotated[Time, Meta(description="Only jobs accepted then or later were looked at.")]
    complete: Annotated[
        bool,
        Meta(description="Whether all of them were; otherwise the newest of each client, some thousands."),
    ]


class Failures:
    """What jobs failed with."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def on_get(self, req: Request, resp: Response) -> None:
        """Count the errors of one's jobs."""
        asked = query(req, FailureQuery)
        wanted = FailureFilter(
            client_id=whose(self._ledger, req.context.client, asked.client),
            kind=asked.kind,
            queue=asked.queue,
            created_after=asked.created_after or datetime.now(UTC) - _LATELY,
            created_before=asked.created_before,
        )
        with listing(), self._ledger.read() as connection:
            found = failures.errors(connection, wanted)
        shown = [_describe(group) for group in grouped(_gently(found.rows))[:_MOST]]
        answer(
            resp,
            200,
            FailureList(failures=shown, created_after=wanted.created_after, complete=found.complete),
        )

    on_head = on_get


def _gently(rows: Sequence[Row[Any]]) -> Iterator[Row[Any]]:
    """The rows, with pauses for other requests: ten thousand messages are 60 ms of work."""
    for number, row in enumerate(rows):
        if number % _TURN == 0:
            breathe()
        yield row


def _describe(group: Group) -> FailureGroup:
    return FailureGroup(
        kind=group.kind,
        error_type=group.error_type,
        message=group.message,
        count=group.count,
        first_failed_at=group.first,
        last_failed_at=group.last,
        example_id=group.example,
        links={"example": f"/v1/jobs/{group.example}"},
    )
