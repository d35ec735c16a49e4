"""`chaos.short`: a script on the queue email, short enough for bundles, among threads."""

from ops.chaos.script import QUICK, Script, play
from worker.contract import EMAIL, Context, kind


@kind("chaos.short", queue=EMAIL, max_attempts=4, deadline=5, backoff=QUICK, short=True)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
