"""`webhook.deliver`: tell a client that its job or its batch has ended. The platform alone submits it."""

import random
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from worker.contract import (
    WEBHOOK,
    Backoff,
    Context,
    Fatal,
    Payload,
    Result,
    Retryable,
    kind,
    seconds,
)
from worker.contract.ports import CallbackMessage, Callbacks, Fetched, Fetcher, FetchRequest, Unfetchable

TIMEOUT = seconds(20)  # for a try; Standard Webhooks recommends 15 to 30
# For the first try: a receiver that is silent, of which there may be thousands of messages at once, keeps the
# callbacks of everybody else waiting for so long only. Its later tries are spread over a day.
FIRST_TIMEOUT = seconds(5)
GONE = 410

# 20 waits of 5, 15, 45 s … and then two hours, up to a fifth shorter at random: 22 to 27 hours in all.
BACKOFF = Backoff(base=seconds(5), factor=3.0, cap=7200.0, jitter=0.2)
MAX_ATTEMPTS = 21

_EXAMPLE = "019a0000-0000-7000-8000-000000000000"


class Deliver(Payload, frozen=True, kw_only=True):
    """What ended: a job or a batch."""

    job: Annotated[UUID | None, Meta(description="A job that ended.", examples=[_EXAMPLE])] = None
    batch: Annotated[
        UUID | None, Meta(description="A batch whose jobs have all ended.", examples=[_EXAMPLE])
    ] = None
    finished_at: Annotated[
        Annotated[datetime, Meta(tz=True)] | None,
        Meta(
            description="Which end of the job is told, for one that is run again ends again; unset: any.",
            examples=["2026-11-22T12:00:00Z"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse both and none."""
        if (self.job is None) == (self.batch is None):
            raise ValueError("job: give a job or a batch")

    def describe(self) -> str:
        """Which; the URL may hold a secret."""
        return f"job {self.job}" if self.job else f"batch {self.batch}"


class Delivered(Result, frozen=True, kw_only=True):
    """The client's server took it."""

    status: Annotated[int, Meta(description="HTTP status of its answer.")]


@kind(
    "webhook.deliver",
    queue=WEBHOOK,
    max_attempts=MAX_ATTEMPTS,
    deadline=seconds(30),
    backoff=BACKOFF,
    internal=True,
)
def deliver(payload: Deliver, ctx: Context, callbacks: Callbacks, fetcher: Fetcher) -> Delivered:
    """Post how a job or a batch ended to its callback URL, signed after Standard Webhooks.

    Any 2xx is success, and redirects are not followed. Everything else is tried again for a day, not sooner
    than the `Retry-After` of the answer says (an hour at most). 410 ends it: the client wants no more; and so
    does a URL that may not be reached. Every try carries the id of this job as its `webhook-id`.
    """
    if payload.job is not None:
        message = callbacks.of_job(payload.job, ctx.job_id, payload.finished_at)
    else:
        assert payload.batch is not None  # noqa: S101 - the payload has one of them
        message = callbacks.of_batch(payload.batch, ctx.job_id)
    answer = _posted(_request(message, ctx), ctx, fetcher)
    _judge(answer, ctx.attempt)
    return Delivered(status=answer.status)


def _request(message: CallbackMessage, ctx: Context) -> FetchRequest:
    return FetchRequest(
        method="POST",
        url=message.url,
        headers=message.headers,
        body=message.body,
        timeout=min(FIRST_TIMEOUT if ctx.attempt == 1 else TIMEOUT, ctx.remaining()),
        max_bytes=1,  # the body of the answer is not read
        max_redirects=0,
    )


def _posted(request: FetchRequest, ctx: Context, fetcher: Fetcher) -> Fetched:
    try:
        with fetcher.fetch(request, ctx.check_cancelled) as answer:
            return answer
    except Unfetchable:
        raise
    except Fatal as error:  # an expired certificate, say: its owner has a day to mend it
        raise Retryable(str(error)) from error


def _judge(answer: Fetched, attempt: int) -> None:
    """Decide by the status (Standard Webhooks, "Delivery success and failure")."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 - 2xx
        return
    if answer.status == GONE:
        raise Fatal("the receiver answered 410: it wants no more callbacks")
    after = answer.retry_after
    if after is not None:  # it makes a wait longer, never shorter: the tries are to last a day
        after = max(after, BACKOFF.delay(attempt, random.Random()))  # noqa: S311 - jitter, no secret
    raise Retryable(f"the receiver answered {answer.status}", after=after)
