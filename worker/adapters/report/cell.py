"""A value of the database as files know values: a number, a text, a time, a truth, or nothing."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

Plain = int | float | Decimal | str | bool | datetime | date | timedelta | None

_PLAIN = (int, float, Decimal, str, datetime, date, timedelta, type(None))


def plain(value: Any) -> Plain:
    """The value, or the text that stands for it: JSON of documents and lists, hexadecimal of bytes."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, memoryview | bytes):
        return bytes(value).hex()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return value.isoformat() if isinstance(value, time) else str(value)


def in_utc(moment: datetime) -> datetime:
    """A moment without its zone, which is UTC where it had one."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
