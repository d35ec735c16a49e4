"""`chaos.brief`: a script on the queue report, short enough for bundles: a backlog of it travels in them."""

from ops.chaos.script import QUICK, Script, play
from worker.contract import REPORT, Context, kind


@kind("chaos.brief", queue=REPORT, max_attempts=4, deadline=5, backoff=QUICK, short=True)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
