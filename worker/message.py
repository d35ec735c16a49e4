"""The message: what the broker carries of a job, or of a bundle of them, and how a worker reads it.

It is Celery's, version 2 (docs.celeryq.dev, "Message Protocol"), without arguments: a worker reads the
payload from the ledger when it claims the job. A job's message bears its kind as task and its id. A bundle
has an id of its own, one task for all kinds, and names its jobs in a header.
"""

from typing import Any, Protocol
from uuid import UUID

import msgspec

from worker.ledger.records import Bundle, Message

BODY = "[[], {}, {}]"  # args, kwargs, embed: a job's message has none
BUNDLE = "jobyard.bundle"  # the task


class Headers(Protocol):
    """Of a message, as Celery holds them in one place or another."""

    def get(self, key: str, /) -> Any:
        """The value of a header; None where there is none."""


class Named(msgspec.Struct, frozen=True, array_like=True):
    """A job as its message names it."""

    id: UUID
    description: str = ""


def headers(message: Message | Bundle) -> dict[str, Any]:
    """What Celery, Flower and a worker read of a message."""
    if isinstance(message, Message):
        return _headers(message.kind, message.job_id, message.description)
    jobs = [[str(job.job_id), job.description] for job in message.messages]
    return _headers(BUNDLE, message.id, f"{len(jobs)} jobs") | {"kind": message.kind, "jobs": jobs}


def jobs_in(headers: Headers) -> list[Named]:
    """The jobs that a message names, each once; none where it is garbage."""
    jobs = headers.get("jobs")
    try:
        named = msgspec.convert([[headers.get("id")]] if jobs is None else jobs, list[Named])
    except msgspec.ValidationError:
        return []
    return list({job.id: job for job in named}.values())


def _headers(task: str, message_id: UUID, description: str) -> dict[str, Any]:
    return {
        "lang": "py",
        "task": task,
        "id": str(message_id),
        "root_id": str(message_id),
        "parent_id": None,
        "group": None,
        "argsrepr": description,
        "kwargsrepr": "{}",
        "retries": 0,
        "eta": None,
        "expires": None,
        "timelimit": [None, None],
        "ignore_result": True,
    }
