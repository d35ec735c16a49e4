"""Fire times of a cron expression in a time zone.

The library cronsim follows Debian's cron, also where clocks are put forward or back. For five fields: a
time of day that does not exist fires at the first moment that does, and one that comes twice fires the
first time only; where minute or hour begin with `*`, firing follows the time that really passes. Six
fields, of which the first is seconds, know no such rule: what does not exist is skipped, and what comes
twice fires twice.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_LOCAL = frozenset({"localtime", "posixrules"})  # where they are known: what this machine's clock shows


class CronError(ValueError):
    """An expression or a time zone from which no fire time follows.

    Args:
        field: which of both, `cron` or `timezone`.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


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
            raise CronError("cron", f"{expression!r}: {error}") from None
        except StopIteration:
            raise CronError("cron", f"{expression!r}: never fires") from None

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Every fire time later than a moment, in order."""
        for local in CronSim(self._expression, moment.astimezone(self._zone)):
            fire_at = local.astimezone(UTC)
            # In an hour that comes twice cronsim may begin with the first of the two.
            if fire_at > moment:
                yield fire_at

    def before(self, moment: datetime, count: int) -> datetime | None:
        """A moment that so many fire times or more lie behind, before the given one; None: too few do."""
        # Twice as many steps, for backwards cronsim passes over what fired in the first of two equal hours,
        # and may stop at what does not fire.
        backwards = CronSim(self._expression, moment.astimezone(self._zone), reverse=True)
        steps = list(islice(backwards, 2 * count + 2))
        return steps[-1].astimezone(UTC) if len(steps) == 2 * count + 2 else None


def _zone(name: str) -> ZoneInfo:
    unknown = CronError("timezone", f"{name!r}: not an IANA time zone such as Europe/Berlin")
    if name in _LOCAL:
        raise unknown
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder of names
        raise unknown from None
