"""`chaos.web`: a script on the queue web."""

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import WEB, Context, kind


@kind("chaos.web", queue=WEB, max_attempts=4, deadline=DEADLINE, backoff=QUICK)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
