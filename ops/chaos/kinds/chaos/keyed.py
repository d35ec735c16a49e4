"""`chaos.keyed`: a keyed effect, and then a script."""

from typing import Annotated

from msgspec import Meta

from ops.chaos.script import DEADLINE, QUICK, Script, play
from worker.contract import DATABASE, Context, kind
from worker.contract.ports import ExecuteRequest, StatementExecutor


class Keyed(Script, frozen=True, kw_only=True):
    """A script whose runs all leave the same effect."""

    key: Annotated[str, Meta(description="What the effect is found by.")]


@kind("chaos.keyed", queue=DATABASE, max_attempts=100, deadline=DEADLINE, backoff=QUICK)
def run(payload: Keyed, ctx: Context, executor: StatementExecutor) -> None:
    """Leave the effect, and play a script."""

    def leave_effect() -> None:
        executor.execute(
            ExecuteRequest(
                job_id=ctx.job_id,
                kind=ctx.kind,
                statement="leave_effect",
                params={"key": payload.key},
                timeout=ctx.remaining(),
            )
        )

    play(payload, ctx, leave_effect)
