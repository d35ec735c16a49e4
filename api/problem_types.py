"""The types of problems, for programs to tell them apart (RFC 9457, section 3.1.1); they do not change.

A problem without one of these, `about:blank`, means just its status, and so do its causes (section 4.2.1): an
unknown path or method, a body that is too large or did not come whole, an outage.
"""

from collections.abc import Mapping
from types import MappingProxyType

BLANK = "about:blank"

TITLES: Mapping[str, str] = MappingProxyType(
    {
        "malformed-json": "The body is no JSON",
        "invalid-fields": "Some fields cannot be accepted",
        "unknown-kind": "There is no such kind",
        "key-missing": "There is no API key",
        "key-not-good": "The API key is not good",
        "scope-missing": "The key does not have the scope for this",
        "kind-not-allowed": "The key may not submit this kind",
        "no-such-job": "There is no such job",
        "no-such-batch": "There is no such batch",
        "no-such-artifact": "There is no such artifact",
        "no-such-schedule": "There is no such schedule",
        "no-such-queue": "There is no such queue",
        "already-ended": "The job has ended already",
        "not-failed": "Only a failed or cancelled job can run again",
        "payload-pruned": "The job's payload was pruned",
        "unique-key-held": "Another job holds the unique key",
        "schedule-name-held": "Another schedule has this name",
        "schedule-of-file": "A file says what the schedule is",
        "purge-not-confirmed": "The purge of the queue is not confirmed",
        "idempotency-key-reused": "The Idempotency-Key belongs to another request",
        "idempotency-key-pruned": "What the Idempotency-Key stands for is no more",
        "list-too-slow": "Looking for the jobs took too long",
        "more-than-may-live": "More jobs than a client may have",
        "too-many-schedules": "The client has too many schedules",
        "too-many-live-jobs": "The client has too many live jobs",
        "too-many-uploads": "The client keeps too many uploads",
        "rate-limited": "Too many requests with this key",
    }
)


def uri(code: str) -> str:
    """The type with this last part; none: `about:blank`."""
    return f"urn:jobyard:{code}" if code else BLANK
