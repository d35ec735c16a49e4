"""What the transitions take and give: plain rows, without behaviour."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from worker.contract.references import Taken
from worker.contract.states import Priority, State


class UniqueKey(msgspec.Struct, frozen=True, kw_only=True):
    """A client's own word that only one of its jobs may hold at a time."""

    key: str
    states: tuple[str, ...]  # in which a job holds it
    window: float | None = None  # seconds for which at most; None: for as long as one of the states lasts


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A validated job that is about to be accepted."""

    id: UUID
    client_id: UUID
    kind: str
    queue: str
    payload: bytes  # JSON
    description: str  # of the payload, masked
    max_attempts: int
    priority: Priority = Priority.NORMAL
    tags: list[str] = []
    request_id: str | None = None
    scheduled_at: datetime | None = None
    expires_at: datetime | None = None
    published: bool = False  # the caller publishes its message right after the commit
    unique_key: UniqueKey | None = None
    callback: str | None = None
    batch_id: UUID | None = None
    after: list[UUID] = []  # jobs that must succeed before it
    unmet: list[UUID] = []  # those of them that have not yet
    refers: bool = False  # its payload names results of theirs
    takes: tuple[Taken, ...] = ()  # which, and where
    followed: bool = False  # something follows from its end


class Accepted(msgspec.Struct, frozen=True):
    """What the ledger decided about a new job; it counts once the transaction is committed."""

    state: State
    created_at: datetime


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker carries of a job: ids and a masked description, no more."""

    job_id: UUID
    kind: str
    queue: str
    priority: Priority
    description: str
    request_id: str | None
    alone: bool  # it must have a process for itself
    suspect: bool = False  # a process died under it, or it overran its deadline: it shares no bundle


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one kind, queue and priority that travel in one message; each keeps a life of its own."""

    id: UUID  # the message's, and no job's
    messages: tuple[Message, ...]  # one at least

    @property
    def kind(self) -> str:
        """Of all its jobs."""
        return self.messages[0].kind

    @property
    def queue(self) -> str:
        """Of all its jobs."""
        return self.messages[0].queue

    @property
    def priority(self) -> Priority:
        """Of all its jobs."""
        return self.messages[0].priority


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A wish to hold a job; the random token is the fence of everything that follows."""

    job_id: UUID
    token: UUID
    worker_id: UUID
    alone: bool  # no other job runs in this process


class ClaimedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that a worker holds."""

    id: UUID
    token: UUID
    client_id: UUID
    kind: str
    queue: str
    payload: str  # JSON
    attempt: int
    max_attempts: int
    spent: int  # attempts that count, this one included
    request_id: str | None
    checkpoint: str | None = None  # JSON
    cancel_requested: bool = False  # only where a claim is repeated: a queued job is cancelled at once
    refers: bool = False  # its payload names results of other jobs
    waited: float = 0.0  # seconds for which it had been due


class JobFailure(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt or a job ended without success, as its client reads it."""

    type: Annotated[
        str,
        Meta(
            description="What sort of failure, for programs. Of a handler: `Retryable` (another attempt may"
            " cure it), `Fatal` (none can), `Unfetchable`, `DeadlineExceeded`, `Cancelled`, or the name of"
            " whatever else it raised. Of the platform: `Expired`, `DependencyFailed`, `Lost` (its workers"
            " died under it), `HandedBack` (in the history alone), `UnknownKind`, `InvalidResult`,"
            " `OutcomeUnrecordable`.",
            examples=["Fatal"],
        ),
    ]
    message: Annotated[str, Meta(description="What happened, for people.")]


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """A stored file."""

    id: UUID
    client_id: UUID
    job_id: UUID | None
    name: str
    content_type: str
    size: int
    sha256: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an attempt ended in, spoken by the worker that holds its token."""

    job_id: UUID
    token: UUID
    worker: str  # its name, for the history
    state: State  # succeeded, failed, cancelled or retrying
    result: bytes | None = None  # JSON
    error: JobFailure | None = None
    delay: float = 0.0  # seconds until a retrying job is due
    artifacts: list[Artifact] = []


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A running job as its worker's main process finds it."""

    id: UUID
    token: UUID
    kind: str
    attempt: int
    spent: int
    max_attempts: int
    overran: bool  # its process is being killed at its deadline
    cancel_requested: bool
