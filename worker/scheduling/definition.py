"""What a client or a file says about a schedule: when it fires, and what job it makes then."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from worker.contract.states import Priority
from worker.enqueue import JobName, Moment, Submission, Tag

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$(?!\n)"  # with a look-ahead, for Python's $ would let a last newline pass

NO_NAME = "is no name: up to 64 small letters, digits, `_` and `-`, of which the first is a letter or digit"

Missed = Literal["skip", "one", "all"]
Overlap = Literal["allow", "skip", "queue", "replace"]

_LONGEST_INTERVAL = 366 * 86400  # seconds
_LONGEST_JITTER = 86400  # seconds
MOST = 500  # fire times that one look at a schedule makes jobs of


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recurring rule: one of `cron`, `every` and `at`, and the job that each of its firings makes."""

    cron: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(
            description="Minute, hour, day, month and weekday, with names (`MON-FRI`), `L` (the last day,"
            " `5L` the last Friday), `LW` and `#` (`MON#1` the first Monday); with six fields the first is"
            " seconds.",
            examples=["0 6 * * MON-FRI"],
        ),
    ] = None
    every: Annotated[
        Annotated[int, Meta(ge=1, le=_LONGEST_INTERVAL)] | None,
        Meta(description="Seconds between two firings, counted from `starts_at`, else from 1970 in UTC."),
    ] = None
    at: Annotated[Moment | None, Meta(description="The one time that it fires (RFC 3339).")] = None
    timezone: Annotated[
        Annotated[str, Meta(max_length=64)],
        Meta(description="Of `cron`: an IANA name.", examples=["Europe/Berlin"]),
    ] = "UTC"
    starts_at: Annotated[Moment | None, Meta(description="No fire time before this (RFC 3339).")] = None
    ends_at: Annotated[Moment | None, Meta(description="No fire time after this (RFC 3339).")] = None
    jitter: Annotated[
        Annotated[int, Meta(ge=0, le=_LONGEST_JITTER)],
        Meta(description="Each job is due a random time after its fire time: so many seconds at most."),
    ] = 0
    overlap: Annotated[
        Overlap,
        Meta(
            description="What a firing does while a job of an earlier one has not ended: `allow` it, `skip`"
            " this firing, `queue` it until that has ended, or `replace`: cancel that job."
        ),
    ] = "allow"
    missed: Annotated[
        Missed,
        Meta(
            description="What is made up of fire times that passed more than a minute ago without a beat:"
            " none (`skip`), the latest (`one`) if nothing is on time, or `all`."
        ),
    ] = "one"
    limit: Annotated[
        Annotated[int, Meta(ge=1, le=MOST)],
        Meta(
            description="So many fire times are made up at most (`missed: all`), or wait (`overlap: queue`)."
        ),
    ] = 100
    kind: Annotated[str, Meta(description="What to do: a name of `GET /v1/kinds`.", max_length=200)]
    payload: Annotated[msgspec.Raw, Meta(description="The kind's input.")] = msgspec.field(
        default_factory=lambda: msgspec.Raw(b"{}")
    )
    priority: Annotated[Priority, Meta(description="Rank of its jobs in their queue.")] = Priority.NORMAL
    queue: Annotated[
        JobName | None, Meta(description="One of the kind's `queues`; unset: the kind's `queue`.")
    ] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="Runs of each job in all; unset: the kind's number."),
    ] = None
    tags: Annotated[
        list[Tag],
        Meta(description="Words to find its jobs by, beside `schedule:NAME`.", max_length=19),
    ] = []
    callback: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(description="https URL that is told of the end of each job."),
    ] = None

    def submission(self, name: str) -> Submission:
        """The request for work that each firing of the schedule of this name makes."""
        return Submission(
            kind=self.kind,
            payload=self.payload,
            priority=self.priority,
            queue=self.queue,
            max_attempts=self.max_attempts,
            tags=[f"schedule:{name}", *self.tags],
            callback=self.callback,
        )
