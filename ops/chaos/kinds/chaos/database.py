"""`chaos.database`: a script on the queue database."""

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import DATABASE, Context, kind


@kind("chaos.database", queue=DATABASE, max_attempts=4, deadline=DEADLINE, backoff=QUICK)
def run(payload: Script, ctx: Context) -> None:
    """Play a script."""
    play(payload, ctx)
