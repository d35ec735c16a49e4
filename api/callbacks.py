"""What Jobyard posts to the callback URLs of its clients, for the OpenAPI document: its `webhooks`.

`worker.adapters.callbacks` words and signs the messages, and `webhook.deliver` judges the answers. The API
sends none of them, so their shapes are said here once more, and a test holds real messages against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from api.operation import Header
from api.representations import BatchFacts, JobFacts, Time
from worker.contract.states import Priority, State
from worker.ledger.records import JobFailure

JobEvent = Literal["job.succeeded", "job.failed", "job.cancelled"]

HEADERS = (
    Header(
        "webhook-id",
        "The message's id, the same at every try: a receiver that knows it has this message already.",
        "0190a7c0-0000-7000-8000-000000000001",
    ),
    Header("webhook-timestamp", "When this try was signed, in seconds since 1970.", 1764936000),
    Header(
        "webhook-signature",
        "HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{body}` with the client's secret, in base64 and"
        " after `v1,`; while a secret is being replaced there are two, with a space between them.",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
)

ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "2XX": "Taken. The answer's body is not read.",
        "410": "The receiver wants no more of this message: it is not tried again.",
        "default": "Anything else, a redirect too, or no answer within 20 s (5 s at the first try): it is"
        " tried again, up to 20 times in about a day, at first after seconds and then ever more seldom, and"
        " not sooner than a `Retry-After` of the answer says (an hour at most).",
    }
)

_ABOUT = (
    "Posted to the `callback` of {subject}, and signed after Standard Webhooks 1.0. Before you believe the"
    " body, verify the signature: with one of its libraries, and the secret that the operator's command"
    " `jobyard webhooks secret show CLIENT` prints. A message can come twice, and after later ones."
)


class ToldJob(JobFacts, frozen=True, kw_only=True):
    """A job, as its callback is told of it."""

    result: Annotated[
        Any, Meta(description="What the kind's result schema describes; null where `omitted` names it.")
    ]
    omitted: Annotated[
        list[Literal["result"]],
        Meta(description="What is too large for a message (16 KiB): read the job by its link."),
    ]


class JobCallback(msgspec.Struct, frozen=True, kw_only=True):
    """A job has ended."""

    type: Annotated[JobEvent, Meta(description="How it ended.")]
    timestamp: Annotated[Time, Meta(description="When it ended.")]
    data: Annotated[ToldJob, Meta(description="The job.")]


class BatchCallback(msgspec.Struct, frozen=True, kw_only=True):
    """All jobs of a batch have ended."""

    type: Annotated[Literal["batch.finished"], Meta(description="That they have.")]
    timestamp: Annotated[Time, Meta(description="When the last of them ended.")]
    data: Annotated[BatchFacts, Meta(description="The batch.")]


@dataclass(frozen=True, kw_only=True)
class Callback:
    """One type of message."""

    summary: str
    subject: str  # of whose submission the URL is
    example: JobCallback | BatchCallback

    @property
    def description(self) -> str:
        """What a receiver has to know."""
        return _ABOUT.format(subject=self.subject)


_ENDED = datetime(2025, 12, 5, 12, 0, tzinfo=UTC)
_JOB = UUID("0190a7c0-0000-7000-8000-000000000000")
_BATCH = UUID("0190a7c0-0000-7000-8000-000000000002")


_SUCCEEDED = ToldJob(
    id=_JOB,
    kind="web.fetch",
    queue="web",
    state=State.SUCCEEDED,
    priority=Priority.NORMAL,
    attempt=1,
    max_attempts=5,
    created_at=_ENDED,
    started_at=_ENDED,
    finished_at=_ENDED,
    tags=["nightly"],
    links={"self": f"/v1/jobs/{_JOB}"},
    result={
        "status": 200,
        "url": "https://example.com/",
        "redirects": 0,
        "headers": {"content-type": "text/html"},
        "bytes": 0,
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "wait_seconds": 0.25,
    },
    omitted=[],
)
_CANCELLED = msgspec.structs.replace(
    _SUCCEEDED, state=State.CANCELLED, attempt=0, started_at=None, result=None
)
_EXPIRED = msgspec.structs.replace(
    _CANCELLED,
    state=State.FAILED,
    expires_at=_ENDED,
    error=JobFailure(type="Expired", message="the job was not started before its expires_at"),
)


def _job(event: JobEvent, summary: str, told: ToldJob) -> Callback:
    example = JobCallback(type=event, timestamp=_ENDED, data=told)
    return Callback(summary=summary, subject="a job", example=example)


JOB_EVENTS: Mapping[str, Callback] = MappingProxyType(
    {
        "job.succeeded": _job("job.succeeded", "A job succeeded", _SUCCEEDED),
        "job.failed": _job("job.failed", "A job failed", _EXPIRED),
        "job.cancelled": _job("job.cancelled", "A job was cancelled", _CANCELLED),
    }
)
BATCH_EVENTS: Mapping[str, Callback] = MappingProxyType(
    {
        "batch.finished": Callback(
            summary="All jobs of a batch have ended, for the first time",
            subject="a batch",
            example=BatchCallback(
                type="batch.finished",
                timestamp=_ENDED,
                data=BatchFacts(
                    id=_BATCH,
                    size=4,
                    done=True,
                    counts={State.FAILED: 1, State.SUCCEEDED: 3},
                    tags=["nightly"],
                    created_at=_ENDED,
                    finished_at=_ENDED,
                    links={"self": f"/v1/batches/{_BATCH}", "jobs": f"/v1/jobs?batch={_BATCH}"},
                ),
            ),
        )
    }
)
EVENTS: Mapping[str, Callback] = MappingProxyType({**JOB_EVENTS, **BATCH_EVENTS})
