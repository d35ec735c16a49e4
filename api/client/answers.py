"""What the API answers, as far as this client knows it; what a later API adds is passed over."""

from datetime import datetime
from typing import Any

import msgspec

from worker.contract.states import FINAL, Priority, State


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt or a job did not succeed."""

    type: str
    message: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running job is, in its handler's own units."""

    done: float
    total: float | None = None
    note: str | None = None


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a job produced or takes; `size` in bytes."""

    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    links: dict[str, str] = {}


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a job's history: an `attempt`, or an `act` of somebody."""

    event: str
    attempt: int | None = None
    outcome: str | None = None
    worker: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: Failure | None = None
    act: str | None = None
    actor: str | None = None
    acted_at: datetime | None = None


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job; in lists without payload, progress, result, history and artifacts."""

    id: str
    kind: str
    queue: str
    state: State
    priority: Priority
    payload: Any = None
    attempt: int
    max_attempts: int
    created_at: datetime
    scheduled_at: datetime | None = None
    due_at: datetime | None = None
    expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    progress: Progress | None = None
    result: Any = None
    error: Failure | None = None
    history: list[Event] = []
    history_omitted: int = 0  # earlier ones
    artifacts: list[Artifact] = []
    tags: list[str] = []
    unique_key: str | None = None
    callback: str | None = None
    batch_id: str | None = None
    client: str | None = None
    after: list[str] = []
    links: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        """Whether it is in a final state."""
        return self.state in FINAL


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs that were submitted together: how many there are in each state.

    `job_ids`, and `names` with the id of each job that was given one, are told as it is accepted; a batch
    that is read later has None there, and `Client.jobs` lists its jobs.
    """

    id: str
    size: int
    done: bool
    counts: dict[State, int]
    tags: list[str] = []
    callback: str | None = None
    created_at: datetime
    finished_at: datetime | None = None
    due_at: datetime | None = None
    job_ids: list[str] | None = None
    names: dict[str, str] | None = None
    links: dict[str, str] = {}

    @property
    def ended(self) -> bool:
        """Whether each of its jobs is in a final state."""
        return self.done


class ListedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of a list, with its jobs not counted."""

    id: str
    size: int
    tags: list[str] = []
    created_at: datetime
    finished_at: datetime | None = None
    client: str | None = None
    links: dict[str, str] = {}


class FailureGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one kind that failed with the same error, but for its particulars."""

    kind: str
    error_type: str
    message: str
    count: int
    first_failed_at: datetime
    last_failed_at: datetime
    example_id: str


class FailureList(msgspec.Struct, frozen=True, kw_only=True):
    """What jobs failed with, the most frequent first."""

    failures: list[FailureGroup]
    created_after: datetime
    complete: bool


class Acted(msgspec.Struct, frozen=True, kw_only=True):
    """What one request did to the jobs that fit a filter."""

    matched: int
    changed: int
    next_page_token: str | None = None


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as it is now; `depth` counts up to 10,000, `oldest_age` is in seconds."""

    name: str
    depth: int
    oldest_due_at: datetime | None = None
    oldest_age: float = 0.0
    running: int = 0
    accepted_per_minute: float = 0.0
    finished_per_minute: float = 0.0
    failed_per_minute: float = 0.0
    paused_at: datetime | None = None
    paused_by: str | None = None
    workers: list[str] = []


class QueueList(msgspec.Struct, frozen=True):
    """All queues."""

    queues: list[Queue]


class Purged(msgspec.Struct, frozen=True, kw_only=True):
    """What one request purged of a queue, or would."""

    matched: int
    changed: int
    more: bool
    until: datetime


class JobPage(msgspec.Struct, frozen=True):
    """Some jobs of a list."""

    jobs: list[Job]
    next_page_token: str | None = None


class BatchPage(msgspec.Struct, frozen=True):
    """Some batches of a list."""

    batches: list[ListedBatch]
    next_page_token: str | None = None
