"""Passwords made here: each drawn once and kept in a file of its own that only its owner can read."""

import secrets
from pathlib import Path

from ops.files import create_private

_BYTES = 24


def password(folder: Path, name: str) -> str:
    """The password of that name, drawn by the first call of anybody.

    It is on the disk before it is returned: what it will open must not survive it.

    Args:
        folder: where passwords are kept.
        name: of the file.
    """
    path = folder / name
    if not path.exists():
        create_private(path, f"{secrets.token_urlsafe(_BYTES)}\n".encode())
    return path.read_text("utf-8").strip()
