"""Moments of the past as an operator says them: a length of time ago, a day, or RFC 3339."""

import re
from datetime import UTC, datetime, time, timedelta

import click

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LENGTH = re.compile(r"(\d{1,5})([smhd])")
_DAYS = {"today": 0, "yesterday": 1}  # ago
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Past(click.ParamType[str]):
    """A moment; days are those of UTC, as all times are that commands show, and stand for their beginning."""

    name = "moment"

    def convert(self, value: str, _param: click.Parameter | None, _ctx: click.Context | None) -> str:
        """The moment in RFC 3339."""
        moment = _moment(value, datetime.now(UTC))
        if moment is None:
            self.fail(
                f"{value!r} is no moment: write 2h, 7d, today, yesterday, 2027-01-31 or 2027-01-31T08:00:00Z"
            )
        return moment.isoformat()


def written(moment: datetime) -> str:
    """A moment as commands show it: UTC, to the second, with its zone."""
    return f"{moment.astimezone(UTC):%FT%TZ}"


def _moment(value: str, now: datetime) -> datetime | None:
    if length := _LENGTH.fullmatch(value):
        return now - timedelta(**{_UNITS[length[2]]: int(length[1])})
    if value in _DAYS:
        return datetime.combine(now - timedelta(days=_DAYS[value]), time(), UTC)
    try:
        moment = datetime.fromisoformat(value)
        if _DATE.fullmatch(value):
            return moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):  # the second: its offset leads out of the years that Python knows
        return None
