"""Schedules and their firings as clients read them."""

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from msgspec import Meta

from api.representations import Id, Links, Time, job_path
from api.scheduling import definition_of, schedule_of
from worker.contract.states import Priority, State
from worker.enqueue import Refused
from worker.ledger.firings import Fired
from worker.ledger.schedules import Stored
from worker.scheduling import Definition, Missed, Overlap

NEXT = 5  # fire times that are shown


class ListedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule without what may be large."""

    id: Id
    name: Annotated[str, Meta(description="Unique among the client's own.")]
    enabled: Annotated[bool, Meta(description="Whether it fires.")]
    from_file: Annotated[bool, Meta(description="Whether a file of the operators says what it is.")]
    next_fire_at: Annotated[Time | None, Meta(description="When it fires next; null: not again.")]
    cron: Annotated[str | None, Meta(description="Its expression, where it has one.")]
    every: Annotated[int | None, Meta(description="Seconds between two firings.")]
    at: Annotated[Time | None, Meta(description="The one time that it fires.")]
    timezone: Annotated[str, Meta(description="Of `cron`.")]
    starts_at: Annotated[Time | None, Meta(description="No fire time before this.")]
    ends_at: Annotated[Time | None, Meta(description="No fire time after this.")]
    jitter: Annotated[int, Meta(description="Seconds after its fire time within which a job is due.")]
    overlap: Annotated[Overlap, Meta(description="What a firing does while an earlier job has not ended.")]
    missed: Annotated[Missed, Meta(description="What is made up that passed without a beat.")]
    limit: Annotated[int, Meta(description="Firings that are made up, or wait, at most.")]
    kind: Annotated[str, Meta(description="Of its jobs.")]
    priority: Annotated[Priority, Meta(description="Of its jobs.")]
    queue: Annotated[str | None, Meta(description="Of its jobs; null: the kind's.")]
    max_attempts: Annotated[int | None, Meta(description="Of its jobs; null: the kind's.")]
    tags: Annotated[list[str], Meta(description="Of its jobs, beside `schedule:NAME`.")]
    created_at: Annotated[Time, Meta(description="When it was saved first.")]
    updated_at: Annotated[Time, Meta(description="When it was saved last, enabled or disabled.")]
    client: Annotated[str | None, Meta(description="Whose it is, in lists of other clients' too.")] = None
    links: Links

    @classmethod
    def of(cls, stored: Stored, client: str | None = None) -> Self:
        """A schedule of a list, and where that shows other clients' too its client's name."""
        return cls(**_common(stored, definition_of(stored)), client=client)


class Schedule(ListedSchedule, frozen=True, kw_only=True):
    """A recurring rule, and the job that each of its firings makes.

    A key without the scope `read` gets it without payload and callback.
    """

    payload: Annotated[Any, Meta(description="Of its jobs.")] = None
    callback: Annotated[str | None, Meta(description="URL that is told of the end of each job.")] = None
    next_fire_times: Annotated[list[Time], Meta(description=f"The next {NEXT}; of a disabled one none.")]

    @classmethod
    def full(cls, stored: Stored, *, readable: bool) -> Self:
        """All of it; what may be secret only to those who may read."""
        definition = definition_of(stored)
        return cls(
            **_common(stored, definition),
            payload=definition.payload if readable else None,
            callback=definition.callback if readable else None,
            next_fire_times=_next(stored) if stored.enabled else [],
        )


class SchedulePage(msgspec.Struct, frozen=True):
    """Some schedules, newest first."""

    schedules: Annotated[list[ListedSchedule], Meta(description="Without payload and callback.")]
    next_page_token: Annotated[str | None, Meta(description="For `page_token`; null: there are no more.")]


class FiringView(msgspec.Struct, frozen=True, kw_only=True, rename={"fate": "state"}):
    """One occurrence of a schedule."""

    fire_at: Annotated[Time, Meta(description="Its fire time; of one by hand, when that was.")]
    fate: Annotated[
        Literal["fired", "waiting", "skipped"],
        Meta(description="It made a job; it waits for an earlier one to end; it makes none."),
    ]
    fired_at: Annotated[Time | None, Meta(description="When its job was made, or it was skipped.")]
    by_hand: Annotated[bool, Meta(description="Whether somebody asked for it.")]
    reason: Annotated[str | None, Meta(description="Why it was skipped.")]
    job_id: Annotated[UUID | None, Meta(description="Its job.")]
    job_state: Annotated[State | None, Meta(description="Of that job; null once that was pruned.")]
    links: Links

    @classmethod
    def of(cls, fired: Fired) -> Self:
        """A firing of the ledger."""
        waits = fired.job_id is None and fired.skipped is None
        return cls(
            fire_at=fired.fire_at,
            fate="waiting" if waits else "fired" if fired.job_id else "skipped",
            fired_at=None if waits else fired.fired_at,
            by_hand=fired.by_hand,
            reason=fired.skipped,
            job_id=fired.job_id,
            job_state=State(fired.state) if fired.state else None,
            links={"job": job_path(fired.job_id)} if fired.job_id else {},
        )


class FiringPage(msgspec.Struct, frozen=True):
    """Some firings of a schedule, newest first."""

    firings: Annotated[list[FiringView], Meta(description="The firings.")]
    next_page_token: Annotated[str | None, Meta(description="For `page_token`; null: there are no more.")]


def schedule_path(schedule_id: UUID) -> str:
    """The path of a schedule."""
    return f"/v1/schedules/{schedule_id}"


_SAID = (
    *("cron", "every", "at", "timezone", "starts_at", "ends_at", "jitter", "overlap", "missed", "limit"),
    *("kind", "priority", "queue", "max_attempts", "tags"),
)
_NOTED = ("id", "name", "enabled", "from_file", "next_fire_at", "created_at", "updated_at")


def _next(stored: Stored) -> list[datetime]:
    try:
        rule = schedule_of(stored).rule
    except Refused:  # none follows from it here: its time zone is not known any more, say
        return []
    return list(islice(rule.after(datetime.now(UTC)), NEXT))


def _common(stored: Stored, definition: Definition) -> dict[str, Any]:
    path = schedule_path(stored.id)
    switch = "disable" if stored.enabled else "enable"
    links = {"self": path, "firings": f"{path}/firings", "run": f"{path}/run", switch: f"{path}/{switch}"}
    fields = {name: _shown(getattr(definition, name)) for name in _SAID}
    fields |= {name: getattr(stored, name) for name in _NOTED}
    return fields | {"links": links | {"jobs": f"/v1/jobs?tag=schedule:{stored.name}"}}


def _shown(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
