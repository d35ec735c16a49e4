"""What follows from the way an attempt ended: a pure rule, the same on every pool."""

import random

import msgspec

from worker.catalog import AnyKind
from worker.contract.errors import Cancelled, DeadlineExceeded, Fatal, JobError, Retryable
from worker.contract.states import State
from worker.ledger.records import ClaimedJob, Held, JobFailure, Outcome
from worker.runtime.masking import mask

LARGEST_RESULT = 1024 * 1024  # bytes of JSON; more belongs into an artifact
LONGEST_WAIT = 30 * 86400.0  # seconds until the next attempt, whatever the other side asked for
_LONGEST_MESSAGE = 2000  # characters


def of_result(kind: AnyKind, job: ClaimedJob, worker: str, result: object) -> Outcome:
    """The outcome of a handler that returned."""
    expected = kind.result_type or type(None)
    if not isinstance(result, expected):
        problem = f"the handler returned {type(result).__name__}, declared is {expected.__name__}"
        return _failed(job, worker, JobFailure(type="InvalidResult", message=problem))
    encoded = None if result is None else msgspec.json.encode(result)
    if encoded is not None and len(encoded) > LARGEST_RESULT:
        problem = f"the result has {len(encoded)} bytes of JSON, at most {LARGEST_RESULT} are kept"
        return _failed(job, worker, JobFailure(type="InvalidResult", message=problem))
    return Outcome(job_id=job.id, token=job.token, worker=worker, state=State.SUCCEEDED, result=encoded)


def of_error(
    kind: AnyKind, job: ClaimedJob | Held, worker: str, error: BaseException, rng: random.Random
) -> Outcome:
    """The outcome of a handler that raised."""
    failure = _describe(error)
    if isinstance(error, Cancelled):
        return _ended(job, worker, State.CANCELLED, failure)
    if isinstance(error, Fatal) or job.spent >= job.max_attempts:
        return _failed(job, worker, failure)
    delay = error.after if isinstance(error, Retryable) else None
    if delay is None:
        delay = kind.backoff.delay(job.spent, rng)
    return Outcome(
        job_id=job.id,
        token=job.token,
        worker=worker,
        state=State.RETRYING,
        error=failure,
        delay=min(max(0.0, delay), LONGEST_WAIT),
    )


def of_overrun(kind: AnyKind, job: ClaimedJob | Held, worker: str, rng: random.Random) -> Outcome:
    """The outcome of an attempt that ran past its deadline and was stopped: it is spent."""
    error = DeadlineExceeded(f"the attempt ran longer than its deadline of {kind.deadline:g} s")
    return of_error(kind, job, worker, error, rng)


def of_cancel(job: ClaimedJob | Held, worker: str) -> Outcome:
    """The outcome of an attempt whose process was ended because the job was cancelled."""
    return _ended(job, worker, State.CANCELLED, _describe(Cancelled("stopped, for it was cancelled")))


def _describe(error: BaseException) -> JobFailure:
    # The text of a JobError was written for the client; that of anything else was not, so it is masked.
    text = _text(error) if isinstance(error, JobError) else mask(_text(error))
    return JobFailure(type=type(error).__name__, message=text[:_LONGEST_MESSAGE])


def _text(error: BaseException) -> str:
    try:
        # File names and foreign bytes bring lone surrogates, which no JSON can carry.
        return str(error).encode(errors="replace").decode()
    except Exception:  # noqa: BLE001 - a broken __str__ must not take the outcome along
        return "the error cannot be shown"


def _failed(job: ClaimedJob | Held, worker: str, failure: JobFailure) -> Outcome:
    return _ended(job, worker, State.FAILED, failure)


def _ended(job: ClaimedJob | Held, worker: str, state: State, failure: JobFailure) -> Outcome:
    return Outcome(job_id=job.id, token=job.token, worker=worker, state=state, error=failure)
