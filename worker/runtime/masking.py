"""Masking what may be secret in the text of an unexpected error."""

import re

# Greedy up to the last @: a password may hold one, or a slash.
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)\S+@")
_NAME = r"[\w-]*(?:passw(?:or)?d|secret|token|api[_-]?key|authorization|cookie|credential)[\w-]*"
_VALUE = r"""(?:"[^"]*"|'[^']*'|(?:(?:bearer|basic)\s+)?\S+)"""
_NAMED = re.compile(rf"""(?i)({_NAME}["']?(?:\s*[=:]\s*|\s+)){_VALUE}""")


def mask(text: str) -> str:
    """The text without credentials of URLs and without the values of what is named like a secret."""
    return _NAMED.sub(r"\1***", _CREDENTIALS_IN_URL.sub("***@", text))
