"""`chaos.email`: a script on the queue email."""

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import EMAIL, Context, kind


@kind("chaos.email", queue=EMAIL, max_attempts=4, deadline=DEADLINE, backoff=QUICK)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
