"""`bench.single`: `bench.noop` by an author who does not call it short; its jobs never share a message."""

from ops.bench.kinds.bench.noop import Number, Same
from worker.contract import EMAIL, REPORT, Context, kind


@kind("bench.single", queue=REPORT, queues=(EMAIL,), max_attempts=3, deadline=5)
def single(payload: Number, _ctx: Context) -> Same:
    """Give the number back."""
    return Same(number=payload.number)
