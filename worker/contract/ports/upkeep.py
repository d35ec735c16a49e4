"""Clearing away what is past its retention."""

from collections.abc import Callable
from typing import Annotated, Protocol

from msgspec import Meta

from worker.contract.payload import Result


class Pruned(Result, frozen=True, kw_only=True):
    """What a pruning took away."""

    jobs: Annotated[int, Meta(description="Finished jobs, each with its history.")] = 0
    days: Annotated[int, Meta(description="Of these, whole days that went at once.")] = 0
    cleared: Annotated[int, Meta(description="Jobs that stay, without payload, result and files.")] = 0
    artifacts: Annotated[int, Meta(description="Files of those jobs.")] = 0
    uploads: Annotated[int, Meta(description="Clients' files that no live job or schedule names.")] = 0
    strays: Annotated[int, Meta(description="Files without a record, left by a crash.")] = 0
    idempotency_keys: Annotated[int, Meta(description="Keys that are not remembered any longer.")] = 0
    firings: Annotated[int, Meta(description="Notes of which firing made which job.")] = 0
    audit_entries: Annotated[int, Meta(description="Entries of the audit log.")] = 0
    batches: Annotated[int, Meta(description="Batches, whose jobs go by themselves.")] = 0
    unique_keys: Annotated[int, Meta(description="Unique keys of jobs that are gone.")] = 0


class Pruner(Protocol):
    """Retention. How long things are kept is the operator's to say, so nobody who calls this can."""

    def prune(self, between: Callable[[Pruned], None]) -> Pruned:
        """Delete what is past its retention, in small batches; safe when it runs twice at once.

        Args:
            between: called after every batch with what is gone so far; it may raise to stop the pruning,
                and what is gone then stays gone.

        Raises:
            Retryable: the ledger is away, or something was in use; another attempt goes on from there.
        """
