"""`bench.noop`: nothing to do, so that what surrounds a job is all that takes time."""

from worker.contract import REPORT, Context, Payload, kind


class Nothing(Payload, frozen=True):
    """Nothing."""


@kind("bench.noop", queue=REPORT, max_attempts=3, deadline=5, short=True)
def noop(_payload: Nothing, _ctx: Context) -> None:
    """Do nothing."""
