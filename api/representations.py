"""Jobs and artifacts as clients read them, from new jobs and from rows of the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from urllib.parse import quote
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Row, RowMapping

from worker.contract.states import FINAL, Priority, State
from worker.ledger.accounts import MOST_EVENTS
from worker.ledger.batches import NewBatch
from worker.ledger.records import Accepted, JobFailure, NewJob

Fields = RowMapping | Mapping[str, Any]
Time = Annotated[datetime, Meta(tz=True)]  # RFC 3339; UTC, for that is what the ledger speaks
Id = Annotated[UUID, Meta(description="UUIDv7.", examples=["0190a7c0-0000-7000-8000-000000000000"])]
Links = Annotated[dict[str, str], Meta(description="What can be done next, as paths.")]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="attempt"):
    """One run of a job."""

    attempt: Annotated[int, Meta(description="Which one, counted from 1.")]
    outcome: Annotated[
        str | None, Meta(description="succeeded, failed, cancelled, lost or handed_back; null: it runs.")
    ]
    worker: Annotated[str | None, Meta(description="Who ran it.")]
    started_at: Annotated[Time, Meta(description="When it began.")]
    ended_at: Annotated[Time | None, Meta(description="When it ended; null: it runs.")]
    error: Annotated[JobFailure | None, Meta(description="Why it did not succeed.")]


class Act(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="act"):
    """Something that somebody did to a job."""

    act: Annotated[str, Meta(description="cancel or retry.")]
    actor: Annotated[str, Meta(description="Who.", examples=["client reports"])]
    acted_at: Annotated[Time, Meta(description="When.")]


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a job produced or takes."""

    id: Id
    name: Annotated[str, Meta(description="What it is called.", examples=["report.pdf"])]
    content_type: Annotated[str, Meta(description="Media type.", examples=["application/pdf"])]
    size: Annotated[int, Meta(description="Bytes.")]
    sha256: Annotated[str, Meta(description="Of the content, hexadecimal.")]
    links: Links

    @classmethod
    def of_row(cls, row: Fields) -> Self:
        """An artifact of a job, or a client's own where it belongs to none."""
        fields = {name: row[name] for name in cls.__struct_fields__ if name != "links"}
        path = f"/v1/artifacts/{row['id']}"
        if row["job_id"] is not None:
            path = f"{job_path(row['job_id'])}/artifacts/{quote(row['name'], safe='')}"
        return cls(**fields, links={"self": path})


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running job is, in its handler's own units."""

    done: Annotated[float, Meta(description="What is done.")]
    total: Annotated[float | None, Meta(description="What there is to do, where that is known.")] = None
    note: Annotated[str | None, Meta(description="In words.")] = None


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a job wherever it is shown."""

    id: Id
    kind: Annotated[str, Meta(description="What to do: a name of `GET /v1/kinds`.", examples=["web.fetch"])]
    queue: Annotated[str, Meta(description="The lane that it waits in.", examples=["web"])]
    state: Annotated[State, Meta(description="Where it stands; succeeded, failed and cancelled are final.")]
    priority: Annotated[Priority, Meta(description="Rank among the queued jobs of its queue.")]
    attempt: Annotated[int, Meta(description="The last run that began, counted from 1; 0: none yet.")]
    max_attempts: Annotated[int, Meta(description="Runs in all; lost and handed-back ones do not count.")]
    created_at: Annotated[Time, Meta(description="When it was accepted.")]
    scheduled_at: Annotated[Time | None, Meta(description="Not before this time.")] = None
    expires_at: Annotated[
        Time | None, Meta(description="Not started by then, it fails; a retry clears it.")
    ] = None
    started_at: Annotated[Time | None, Meta(description="Of the last attempt.")] = None
    finished_at: Annotated[Time | None, Meta(description="When it reached its final state.")] = None
    cancel_requested_at: Annotated[
        Time | None, Meta(description="Since when its worker is asked to stop.")
    ] = None
    error: Annotated[JobFailure | None, Meta(description="Of the last attempt that failed.")] = None
    tags: Annotated[list[str], Meta(description="Words to find it by.")]
    unique_key: Annotated[str | None, Meta(description="The key that it was submitted with.")] = None
    batch_id: Annotated[UUID | None, Meta(description="The batch that it belongs to.")] = None
    links: Links


class ListedJob(JobFacts, frozen=True, kw_only=True):
    """A job without what may be large."""

    client: Annotated[
        str | None, Meta(description="Whose it is: for operators, who see those of other clients.")
    ] = None

    @classmethod
    def of_row(cls, row: Row[Any], client: str | None = None) -> Self:
        """A job of a list, and where that shows other clients' too its client's name."""
        fields = row._mapping  # noqa: SLF001 - public in SQLAlchemy, named so to spare columns
        return cls(**_common({**fields, "client": client}))

    @classmethod
    def of_job(cls, job: "ListedJob") -> Self:
        """As much of a job as a list shows."""
        return cls(**{name: getattr(job, name) for name in cls.__struct_fields__})


class Job(ListedJob, frozen=True, kw_only=True):
    """One durable request for work.

    A key without the scope `read` gets it as lists show it: without payload, after, callback, progress,
    result, history and artifacts.
    """

    payload: Annotated[
        Any,
        Meta(
            description="As validated: a field that was left out stays out, and one given at its default may"
            " be left out too. As given where it refers to other jobs; null once it was pruned."
        ),
    ] = None
    after: Annotated[list[UUID], Meta(description="Jobs that have to succeed before it begins.")] = []
    due_at: Annotated[
        Time | None, Meta(description="When it is queued next, at the earliest: while scheduled or retrying.")
    ] = None
    callback: Annotated[str | None, Meta(description="URL that is told of its end.")] = None
    progress: Annotated[Progress | None, Meta(description="As its handler told last.")] = None
    result: Annotated[Any, Meta(description="What the kind's result schema describes.")] = None
    history: Annotated[
        list[Attempt | Act], Meta(description=f"What happened to it, in order: the last {MOST_EVENTS}.")
    ] = []
    history_omitted: Annotated[int, Meta(description="So many that happened before are left out.")] = 0
    artifacts: Annotated[list[Artifact], Meta(description="Files that it made.")] = []

    @property
    def ended(self) -> bool:
        """Whether it is in a final state."""
        return self.state in FINAL

    @classmethod
    def of_new(cls, job: NewJob, accepted: Accepted) -> Self:
        """A job that was accepted right now: nothing has to be read again."""
        return cls(
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            state=accepted.state,
            priority=job.priority,
            attempt=0,
            max_attempts=job.max_attempts,
            created_at=accepted.created_at,
            scheduled_at=job.scheduled_at,
            due_at=job.scheduled_at if accepted.state is State.SCHEDULED else None,
            expires_at=job.expires_at,
            tags=job.tags,
            unique_key=job.unique_key.key if job.unique_key else None,
            batch_id=job.batch_id,
            after=job.after,
            callback=job.callback,
            links=_links(job.id, accepted.state, job.batch_id),
            payload=msgspec.Raw(job.payload),
        )

    @classmethod
    def of_account(cls, account: Mapping[str, Any]) -> Self:
        """A job with all that belongs to it."""
        history = _history(account["attempts"], account["acts"])
        return cls(
            **_common(account),
            payload=account["payload"],
            after=account["after"],
            due_at=_due_at(account),
            callback=account["callback"],
            progress=msgspec.convert(account["progress"], Progress | None),
            result=account["result"],
            history=history,
            history_omitted=account["events"] - len(history),
            artifacts=[Artifact.of_row(row) for row in account["artifacts"]],
        )


class BatchOutline(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a batch wherever it is shown."""

    id: Id
    size: Annotated[int, Meta(description="Jobs.")]
    tags: Annotated[list[str], Meta(description="Words about it.")]
    created_at: Annotated[Time, Meta(description="When it was accepted.")]
    finished_at: Annotated[
        Time | None,
        Meta(
            description="When the last of them had ended, for the first time. It is noted a moment later: it"
            " may still be null where `done` is true already."
        ),
    ]
    links: Links


class ListedBatch(BatchOutline, frozen=True, kw_only=True):
    """A batch with its jobs not counted: read it by its id for that."""

    client: Annotated[
        str | None, Meta(description="Whose it is: for operators, who see those of other clients.")
    ] = None

    @classmethod
    def of_row(cls, row: Row[Any], client: str | None = None) -> Self:
        """A batch of a list, and where that shows other clients' too its client's name."""
        own = ("id", "size", "tags", "created_at", "finished_at")
        fields = {name: getattr(row, name) for name in own}
        return cls(**fields, client=client, links=_batch_links(row.id))


class BatchFacts(BatchOutline, frozen=True, kw_only=True):
    """A batch with its jobs counted."""

    done: Annotated[bool, Meta(description="Whether all of them have ended.")]
    counts: Annotated[dict[State, int], Meta(description="Jobs by state; a state without any is left out.")]


class Batch(BatchFacts, frozen=True, kw_only=True):
    """Jobs that were submitted together."""

    callback: Annotated[
        str | None,
        Meta(description="URL that is told once when all jobs have ended; null to a key without `read`."),
    ]
    due_at: Annotated[
        Time | None,
        Meta(description="When the next of its jobs is due: while none of them is queued or running."),
    ] = None

    @property
    def ended(self) -> bool:
        """Whether all of its jobs have."""
        return self.done

    @classmethod
    def of_new(cls, batch: NewBatch, jobs: Iterable[NewJob], accepted: Mapping[UUID, Accepted]) -> Self:
        """A batch that was accepted right now: nothing has to be read again."""
        row = msgspec.structs.asdict(batch)
        row |= {"created_at": next(iter(accepted.values())).created_at, "finished_at": None}
        due = (job.scheduled_at for job in jobs if job.scheduled_at and not job.after)
        return cls.of_row(row, Counter(job.state for job in accepted.values()), min(due, default=None))

    @classmethod
    def of_row(cls, row: Fields, counts: Mapping[State, int], due_at: datetime | None = None) -> Self:
        """A batch as it is now; `due_at`: when the next of those that are not queued yet is due."""
        own = ("id", "size", "tags", "callback", "created_at", "finished_at")
        links = _batch_links(row["id"])
        done = all(state in FINAL for state in counts)
        return cls(
            **{name: row[name] for name in own},
            done=done,
            counts=dict(sorted(counts.items())),
            due_at=due_at if is_idle(counts) else None,
            links=links if done else links | {"cancel": links["self"] + "/cancel"},
        )


class AcceptedBatch(Batch, frozen=True, kw_only=True):
    """A batch that was accepted, and the ids of its jobs."""

    job_ids: Annotated[list[UUID], Meta(description="In the order of the request.")]
    names: Annotated[dict[str, UUID], Meta(description="Which id each `name` of the request stands for.")]

    @classmethod
    def of_batch(cls, batch: Batch, job_ids: list[UUID], names: Mapping[str, int]) -> Self:
        """A batch and its jobs, some of which the request named by their places in it."""
        named = {name: job_ids[place] for name, place in names.items()}
        return cls(**msgspec.structs.asdict(batch), job_ids=job_ids, names=named)


class JobPage(msgspec.Struct, frozen=True):
    """Some jobs, newest first."""

    jobs: Annotated[list[ListedJob], Meta(description="Without payload, result and history.")]
    next_page_token: Annotated[str | None, Meta(description="For `page_token`; null: there are no more.")]


class BatchPage(msgspec.Struct, frozen=True):
    """Some batches, newest first."""

    batches: Annotated[list[ListedBatch], Meta(description="With their jobs not counted.")]
    next_page_token: Annotated[str | None, Meta(description="For `page_token`; null: there are no more.")]


def is_idle(counts: Mapping[State, int]) -> bool:
    """Whether nothing of a batch can happen before the next of its jobs is due."""
    return not counts.keys() & {State.QUEUED, State.RUNNING} and not counts.keys() <= FINAL


def job_path(job_id: UUID) -> str:
    """The path of a job."""
    return f"/v1/jobs/{job_id}"


def batch_path(batch_id: UUID) -> str:
    """The path of a batch."""
    return f"/v1/batches/{batch_id}"


def _batch_links(batch_id: UUID) -> dict[str, str]:
    return {"self": batch_path(batch_id), "jobs": f"/v1/jobs?batch={batch_id}"}


def _common(row: Fields) -> dict[str, Any]:
    fields = {name: row[name] for name in ListedJob.__struct_fields__ if name != "links"}
    state = State(row["state"])
    return fields | {
        "state": state,
        "priority": Priority.of_rank(row["priority"]),
        "error": msgspec.convert(row["error"], JobFailure | None),
        "links": _links(row["id"], state, row["batch_id"]),
    }


def _due_at(row: Fields) -> datetime | None:
    if row["state"] not in {State.SCHEDULED, State.RETRYING}:
        return None
    due_at: datetime | None = row["scheduled_at"] if row["waits_for"] else row["due_at"]
    return due_at


def _links(job_id: UUID, state: State, batch_id: UUID | None) -> dict[str, str]:
    path = job_path(job_id)
    links = {"self": path}
    if batch_id is not None:
        links["batch"] = batch_path(batch_id)
    if state not in FINAL:
        links["cancel"] = path + "/cancel"
    elif state is not State.SUCCEEDED:
        links["retry"] = path + "/retry"
    return links


def _history(attempts: Iterable[Mapping[str, Any]], acts: Iterable[Mapping[str, Any]]) -> list[Attempt | Act]:
    timed: list[tuple[datetime, Attempt | Act]] = [(row["started_at"], _attempt(row)) for row in attempts]
    timed += [
        (row["acted_at"], Act(act=row["act"], actor=row["actor"], acted_at=row["acted_at"])) for row in acts
    ]
    return [entry for _, entry in sorted(timed, key=lambda pair: pair[0])][-MOST_EVENTS:]


def _attempt(row: Mapping[str, Any]) -> Attempt:
    return Attempt(
        attempt=row["attempt"],
        outcome=row["outcome"],
        worker=row["worker"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        error=msgspec.convert(row["error"], JobFailure | None),
    )
