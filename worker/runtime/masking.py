"""Masking what may be secret in the text of an unexpected error."""

import re

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s@]+@")
_NAMED = re.compile(
    r"(?i)\b(password|passwd|secret|token|api[_-]?key|authorization)\b(\s*[=:]\s*|\s+)(bearer\s+|basic\s+)?\S+"
)


def mask(text: str) -> str:
    """The text without credentials of URLs and without the values of what is named like a secret."""
    return _NAMED.sub(r"\1\2***", _CREDENTIALS_IN_URL.sub("***@", text))
