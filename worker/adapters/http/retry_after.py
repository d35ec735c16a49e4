"""The Retry-After header (RFC 9110, section 10.2.3)."""

import time
from email.utils import parsedate_to_datetime

CAP = 3600.0  # seconds; a server that asks for more is asked again after an hour


def retry_after(value: str | None) -> float | None:
    """Seconds to wait, from 0 to an hour; None where the header is missing or makes no sense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), CAP)
    try:
        due = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(due - time.time(), 0.0), CAP)
