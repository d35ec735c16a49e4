"""Filters: how clients say which of their jobs they mean, in a query and in a body alike."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from psycopg2.errors import QueryCanceled
from sqlalchemy.exc import DBAPIError

from api.errors import Problem
from worker.contract.states import State
from worker.enqueue import Moment, Tag
from worker.ledger.jobs import JobFilter

Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
        extra={"misfit": "is no name of one: up to 200 letters, digits, `_`, `.` and `-`"},
    ),
]

ClientName = Annotated[
    str,
    Meta(
        pattern=r"^(\*|[A-Za-z0-9._-]{1,63})$(?!\n)",
        extra={"misfit": "is no client's name: up to 63 letters, digits, `.`, `_` and `-`; or `*` for all"},
    ),
]


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs are meant: those that fit everything that is given."""

    state: Annotated[State | None, Meta(description="Only jobs in this state.")] = None
    kind: Annotated[Name | None, Meta(description="Only jobs of this kind.")] = None
    queue: Annotated[Name | None, Meta(description="Only jobs of this queue.")] = None
    tag: Annotated[Tag | None, Meta(description="Only jobs that carry this tag.")] = None
    batch: Annotated[UUID | None, Meta(description="Only jobs of this batch.")] = None
    error_type: Annotated[
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$(?!\n)",
                extra={"misfit": "is no type of an error: one such as `Fatal` or `TimeoutError`"},
            ),
        ]
        | None,
        Meta(description="Only jobs whose last error is of this type."),
    ] = None
    created_after: Annotated[
        Moment | None, Meta(description="Only jobs accepted at this time or later (RFC 3339).")
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

    def of(self, client_id: UUID | None, states: frozenset[State] | None = None) -> JobFilter:
        """The ledger's filter.

        Args:
            client_id: whose jobs (`api.acting.whose`); None: everybody's.
            states: where no state is given.
        """
        return JobFilter(
            client_id=client_id,
            states=states if self.state is None else frozenset({self.state}),
            kind=self.kind,
            queue=self.queue,
            tag=self.tag,
            batch_id=self.batch,
            error_type=self.error_type,
            created_after=self.created_after,
            created_before=self.created_before,
        )

    def narrowing(self) -> Mapping[str, Any]:
        """What it asks for, without whose jobs; nothing: it means every job."""
        given = ((name, getattr(self, name)) for name in NARROWING)
        return {name: msgspec.to_builtins(value) for name, value in given if value is not None}


NARROWING = tuple(name for name in Wanted.__struct_fields__ if name != "client")


@contextmanager
def listing() -> Iterator[None]:
    """Say what a reader can do where looking for its jobs took too long.

    Raises:
        Problem: 422, and no 503: the same again would take as long.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, QueryCanceled):
            raise Problem(
                422,
                "too much had to be looked at for this filter; ask for a shorter time (`created_after`,"
                " `created_before`), or for a kind or a tag that fewer have",
                code="list-too-slow",
            ) from error
        raise
