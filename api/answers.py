"""Answers: bodies, and the headers that belong to them."""

import hashlib
import math
from datetime import UTC, datetime

import falcon
import msgspec

from api.applications import Request, Response
from api.representations import Job, ListedJob, job_path
from worker.contract.scopes import Scope
from worker.contract.states import FINAL
from worker.ledger.clients import Client

_POLL = 1  # seconds between two looks at what is under way
_SELDOM = 60  # seconds, at most, between two looks at what is due later


def answer(resp: Response, status: int, body: object) -> None:
    """Answer with JSON, and a last newline for those who read it in a terminal."""
    resp.status = status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(body) + b"\n"


def answer_job(req: Request, resp: Response, status: int, job: Job) -> None:
    """Answer with a job, and when to ask again while it is unfinished (RFC 9110, section 10.2.3).

    A key without the scope `read` may submit and act; it sees as much of the job as a list shows.
    """
    client: Client = req.context.client
    answer(resp, status, job if client.scopes.allow(Scope.READ) else ListedJob.of_job(job))
    if job.state not in FINAL:
        resp.set_header("Retry-After", retry_after(job.due_at))


def answer_accepted(req: Request, resp: Response, job: Job) -> None:
    """Answer 202 with a job and where it is to be found."""
    answer_job(req, resp, 202, job)
    resp.location = job_path(job.id)


def revalidate(req: Request, resp: Response) -> None:
    """Tag the answer, and make it 304 where the client has it already (RFC 9110, section 13)."""
    tag = hashlib.blake2b(resp.data or b"", digest_size=16).hexdigest()
    resp.etag = tag
    resp.cache_control = ("private", "no-cache")
    leave_out_known(req, resp, tag)


def leave_out_known(req: Request, resp: Response, tag: str) -> bool:
    """Make the answer 304 where If-None-Match names this entity tag; compared weakly, as it must be."""
    if all(known not in ("*", tag) for known in req.if_none_match or ()):
        return False
    resp.status = 304
    resp.data = None
    resp.delete_header("Content-Type")  # for there is no content
    return True


def retry_after(due_at: datetime | None) -> str:
    """Seconds after which to look again at what is under way, or will be from `due_at` on."""
    if due_at is None:
        return str(_POLL)
    left = (due_at - datetime.now(UTC)).total_seconds()
    return str(min(max(_POLL, math.ceil(left)), _SELDOM))
