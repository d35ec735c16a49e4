"""Rules: which fire times follow from a definition, within its start and its end.

Cron is read in its time zone (`worker.scheduling.cron` says what happens where clocks change); intervals
follow the time that really passes, whatever clocks show.
"""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count as counting
from itertools import islice, takewhile
from typing import Protocol

from worker.enqueue import Refused
from worker.scheduling.cron import Cron, CronError
from worker.scheduling.definition import Definition

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000  # further on, what looks ahead would leave the years that Python knows
_MOMENT = timedelta(microseconds=1)


class Rhythm(Protocol):
    """Fire times without start and end."""

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every fire time later than a moment, in order."""

    def before(self, moment: datetime, count: int) -> datetime | None:
        """A moment that so many fire times or more lie behind, before the given one; None: too few do."""


class Interval:
    """The same time between any two firings.

    Args:
        seconds: that time.
        anchor: one of the fire times, and the first.
    """

    def __init__(self, seconds: int, anchor: datetime) -> None:
        self._step = timedelta(seconds=seconds)
        self._anchor = anchor

    def after(self, moment: datetime) -> Iterator[datetime]:
        """See `Rhythm`."""
        first = max(0, (moment - self._anchor) // self._step + 1)
        return (self._anchor + number * self._step for number in counting(first))

    def before(self, moment: datetime, count: int) -> datetime | None:
        """See `Rhythm`."""
        passed = (moment - self._anchor) // self._step
        return self._anchor + (passed - count) * self._step if passed > count else None


class Once:
    """A single fire time."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def after(self, moment: datetime) -> Iterator[datetime]:
        """See `Rhythm`."""
        return iter([self._at] if self._at > moment else [])

    def before(self, moment: datetime, count: int) -> datetime | None:  # noqa: ARG002 - as in `Rhythm`
        """See `Rhythm`."""
        return None


class Rule:
    """The fire times of a definition.

    Raises:
        Refused: none can follow from it.
    """

    def __init__(self, definition: Definition) -> None:
        self._starts = _bound(definition.starts_at, "starts_at")
        self._ends = _bound(definition.ends_at, "ends_at")
        if self._starts and self._ends and self._ends < self._starts:
            raise Refused("ends_at", "is before starts_at")
        self._rhythm = _rhythm(definition, self._starts or _EPOCH)

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every fire time later than a moment, in order."""
        times = self._rhythm.after(max(moment, self._starts - _MOMENT) if self._starts else moment)
        ends = self._ends
        return times if ends is None else takewhile(lambda fire_at: fire_at <= ends, times)

    def newest(self, after: datetime, until: datetime, count: int) -> list[datetime]:
        """The last fire times later than one moment and not later than another, `count` at most, in order."""
        few = list(islice(self._between(after, until), count + 1))
        if len(few) <= count:
            return few
        # Not through all of them, however long ago the beginning is.
        begin = self._rhythm.before(min(until, self._ends or until), count)
        return list(deque(self._between(max(begin or after, after), until), maxlen=count))

    def _between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        return takewhile(lambda fire_at: fire_at <= until, self.after(after))


def _rhythm(definition: Definition, anchor: datetime) -> Rhythm:
    given = [name for name in ("cron", "every", "at") if getattr(definition, name) is not None]
    if len(given) != 1:
        raise Refused(
            given[1] if given else "cron",
            f"one of cron, every and at is needed, and {' and '.join(given) or 'none'} is given",
        )
    if definition.cron is not None:
        try:
            return Cron(definition.cron, definition.timezone)
        except CronError as error:
            raise Refused(error.field, error.reason) from None
    if definition.every is not None:
        return Interval(definition.every, anchor)
    return Once(_utc(definition.at or anchor, "at"))


def _bound(moment: datetime | None, field: str) -> datetime | None:
    return None if moment is None else _utc(moment, field)


def _utc(moment: datetime, field: str) -> datetime:
    if not _FIRST_YEAR < moment.year < _LAST_YEAR:
        raise Refused(field, f"is not between the years {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment.astimezone(UTC)
