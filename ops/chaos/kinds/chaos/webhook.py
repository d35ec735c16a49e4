"""`chaos.webhook`: a script on the queue webhook."""

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import WEBHOOK, Context, kind


@kind("chaos.webhook", queue=WEBHOOK, max_attempts=4, deadline=DEADLINE, backoff=QUICK)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
