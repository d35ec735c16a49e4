"""What a job is: kinds, payloads, queues, states, errors and ports.

Only the standard library and msgspec are imported here, so that every process, and every author of a
kind, can import it. What runs, stores or carries a job must not live here.
"""

from worker.contract.backoff import Backoff
from worker.contract.context import Context, Log
from worker.contract.errors import Cancelled, Fatal, JobError, Retryable
from worker.contract.kind import Kind, KindError, hours, kind, minutes, seconds
from worker.contract.payload import Payload, Result
from worker.contract.queues import DATABASE, EMAIL, QUEUES, REPORT, UPKEEP, WEB, WEBHOOK, Queue
from worker.contract.rights import Rights
from worker.contract.scopes import Scope, Scopes

__all__ = [
    "DATABASE",
    "EMAIL",
    "QUEUES",
    "REPORT",
    "UPKEEP",
    "WEB",
    "WEBHOOK",
    "Backoff",
    "Cancelled",
    "Context",
    "Fatal",
    "JobError",
    "Kind",
    "KindError",
    "Log",
    "Payload",
    "Queue",
    "Result",
    "Retryable",
    "Rights",
    "Scope",
    "Scopes",
    "hours",
    "kind",
    "minutes",
    "seconds",
]
