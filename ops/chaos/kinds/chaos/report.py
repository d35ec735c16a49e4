"""`chaos.report`: a script on the queue report."""

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import REPORT, Context, kind


@kind("chaos.report", queue=REPORT, max_attempts=4, deadline=DEADLINE, backoff=QUICK)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
