"""The states of a job, and which of them are final."""

from enum import StrEnum


class State(StrEnum):
    """Where a job stands."""

    SCHEDULED = "scheduled"  # accepted, and due at a later time
    QUEUED = "queued"  # due; a worker may claim it
    RUNNING = "running"  # claimed: one worker holds it
    RETRYING = "retrying"  # an attempt ended without success; due again at a later time
    SUCCEEDED = "succeeded"  # final: its result can be read
    FAILED = "failed"  # final: attempts spent, fatal, or expired; its error can be read
    CANCELLED = "cancelled"  # final: a client or an operator said so


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
LIVE = frozenset(State) - FINAL


class Priority(StrEnum):
    """How a job ranks among the queued ones of its queue; each broker gets its own numbers."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """0 for low to 2 for high: what the ledger stores and orders by."""
        return _RANKS.index(self)

    @classmethod
    def of_rank(cls, rank: int) -> "Priority":
        """The priority of a stored rank."""
        return _RANKS[rank]


_RANKS = (Priority.LOW, Priority.NORMAL, Priority.HIGH)
