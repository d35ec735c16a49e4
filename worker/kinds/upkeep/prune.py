"""`upkeep.prune`: delete what is past its retention."""

from worker.contract import UPKEEP, Backoff, Context, Payload, kind, minutes
from worker.contract.ports import Pruned, Pruner


class Prune(Payload, frozen=True, kw_only=True):
    """Nothing to choose: what is deleted is for the settings to say."""


@kind(
    "upkeep.prune",
    queue=UPKEEP,
    max_attempts=5,
    deadline=minutes(60),
    backoff=Backoff(base=30.0, cap=600.0),
    operator=True,
)
def prune(_payload: Prune, ctx: Context, pruner: Pruner) -> Pruned:
    """Delete finished jobs past the retention, with history and artifacts, and what else is forgotten."""

    def between(so_far: Pruned) -> None:
        ctx.check_cancelled()
        ctx.progress(so_far.jobs, note="jobs deleted")

    pruned = pruner.prune(between)
    ctx.log.info("pruned", jobs=pruned.jobs, days=pruned.days, artifacts=pruned.artifacts)
    return pruned
