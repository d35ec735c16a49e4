"""Ids of jobs: UUIDv7 (RFC 9562, section 5.7), which carry their time and so find their partition."""

from datetime import UTC, datetime
from uuid import UUID

import uuid_utils.compat

_RANDOM_BITS = 80


def new_id() -> UUID:
    """A fresh id; ids of one process made within a millisecond still ascend."""
    return uuid_utils.compat.uuid7()


def floor_of(moment: datetime) -> UUID:
    """The smallest value an id of this moment can have, as a bound between partitions and cursors.

    It has no version bits on purpose, so that every id of the moment is above it. Of a moment before 1970 it
    is zero, for there were no ids then.
    """
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << _RANDOM_BITS)


def time_of(job_id: UUID) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp((job_id.int >> _RANDOM_BITS) / 1000, UTC)
