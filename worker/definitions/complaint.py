"""What is wrong inside a file, by the keys that lead there; its line is found afterwards."""

from typing import NamedTuple


class Complaint(NamedTuple):
    """Something wrong, at a path of keys in its file."""

    path: tuple[str, ...]
    reason: str
