"""`bench.noop`: a short kind with nothing to do, so that what surrounds a job is all that takes time."""

from worker.contract import EMAIL, REPORT, Context, Payload, Result, kind


class Number(Payload, frozen=True):
    """A number."""

    number: int


class Same(Result, frozen=True):
    """The number that was given."""

    number: int


@kind("bench.noop", queue=REPORT, queues=(EMAIL,), max_attempts=3, deadline=5, short=True)
def noop(payload: Number, _ctx: Context) -> Same:
    """Give the number back."""
    return Same(number=payload.number)
