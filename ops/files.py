"""Small private files, written whole or not at all."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str, owner: tuple[int, int] | None = None) -> None:
    """Replace a file by one with this text and mode 0600.

    Args:
        path: of the file; its folder exists.
        text: what it will hold.
        owner: user and group ids; the caller's where not given.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(new, "x", encoding="utf-8", opener=_private) as file:
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            file.write(text)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def create_private(path: Path, *content: bytes) -> bool:
    """Make a file with this content and mode 0600 that outlives a power failure, unless there is one.

    A process that is killed while it does so leaves a file whose name begins with a dot.

    Returns:
        Whether it was made.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(new, "xb", opener=_private) as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(new, path)  # unlike a rename, never over another's
    except FileExistsError:
        return False
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
