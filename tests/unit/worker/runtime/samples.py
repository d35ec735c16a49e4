"""Jobs and kinds for the tests of the runtime, with values that each test changes where it matters."""

from typing import Any
from uuid import UUID, uuid4

import msgspec

from worker.catalog import AnyKind
from worker.contract import EMAIL, Backoff, Context, Payload, Result, kind
from worker.contract.states import State
from worker.ledger.records import Claim, ClaimedJob, Held, Outcome
from worker.runtime.bookkeeping import Batch, Bookkeeper


class Question(Payload, frozen=True):
    text: str = ""


class Answer(Result, frozen=True):
    text: str


@kind(
    "sample.ask",
    queue=EMAIL,
    max_attempts=3,
    deadline=30,
    backoff=Backoff(base=10.0, factor=2.0, cap=1000.0, jitter=0.0),
)
def ask(payload: Question, ctx: Context) -> Answer:
    """Answer a question."""
    return Answer(text=f"{payload.text}, {ctx.attempt}")


def claimed(**different: Any) -> ClaimedJob:
    job = ClaimedJob(
        id=uuid4(),
        token=uuid4(),
        client_id=UUID(int=1),
        kind=ask.name,
        queue="email",
        payload="{}",
        attempt=1,
        max_attempts=3,
        spent=1,
        request_id="a request",
    )
    return msgspec.structs.replace(job, **different)


def held(**different: Any) -> Held:
    job = Held(
        id=uuid4(),
        token=uuid4(),
        kind=ask.name,
        attempt=1,
        spent=1,
        max_attempts=3,
        overran=False,
        cancel_requested=False,
    )
    return msgspec.structs.replace(job, **different)


def kind_of(handler: Any, **options: Any) -> AnyKind:
    """A kind with that handler, of questions."""
    return kind("sample.made", queue=EMAIL, **options)(handler)


def claiming(bookkeeper: Bookkeeper, wish: Claim) -> ClaimedJob | None:
    return bookkeeper.write(Batch(claims=[wish])).claimed.get(wish.job_id)


def finishing(bookkeeper: Bookkeeper, word: Outcome) -> State | None:
    return bookkeeper.write(Batch(outcomes=[word])).recorded.get(word.job_id)
