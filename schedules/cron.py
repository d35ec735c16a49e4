"""Fire times of a cron expression in a time zone.

The library cronsim follows Debian's cron, also where clocks are put forward or back. For five fields: a
time of day that does not exist fires at the first moment that does, and one that comes twice fires the
first time only; where minute or hour begin with `*`, firing follows the time that really passes. Six
fields, of which the first is seconds, know no such rule: what does not exist is skipped, and what comes
twice fires twice.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError


class CronError(ValueError):
    """An expression or a time zone from which no fire time follows; the message says why."""


class Cron:
    """The fire times of an expression, in UTC.

    Args:
        expression: five fields (minute, hour, day, month, weekday), or six with seconds before them.
        timezone: an IANA name, `Europe/Berlin`.

    Raises:
        CronError: one of them is not valid, or the expression never fires.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        self._expression = expression
        self._zone = _zone(timezone)
        try:
            next(CronSim(expression, datetime.now(self._zone)))
        except CronSimError as error:
            raise CronError(f"cron {expression!r}: {error}") from None
        except StopIteration:
            raise CronError(f"cron {expression!r}: never fires") from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every fire time later than a moment, in order."""
        for local in CronSim(self._expression, moment.astimezone(self._zone)):
            fire_at = local.astimezone(UTC)
            # In an hour that comes twice cronsim may begin with the first of the two.
            if fire_at > moment:
                yield fire_at

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """The last fire time later than one moment and not later than the other."""
        # Backwards to a fire time near the end, however long ago the beginning is; forwards again, because
        # backwards cronsim passes over what fired in the first of two equal hours.
        before = next(CronSim(self._expression, until.astimezone(self._zone), reverse=True)).astimezone(UTC)
        later = takewhile(lambda fire_at: fire_at <= until, self.after(max(before, after)))
        last = None
        for fire_at in chain([before], later):
            if after < fire_at <= until:
                last = fire_at
        return last


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder of names
        raise CronError(f"timezone {name!r}: not an IANA time zone such as Europe/Berlin") from None
