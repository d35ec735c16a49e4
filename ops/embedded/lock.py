"""The lock that allows one platform per HOME.

It is `flock(2)`: the kernel gives it up when its holder dies, however it dies, so that a held lock is the
proof of a living platform that no re-used process id can forge.
"""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE = 0.5  # seconds: `holder_of` holds the lock for an instant, which must not look like a platform
_PAUSE = 0.02  # seconds between two tries


class AlreadyRunningError(RuntimeError):
    """Another process runs the platform of this HOME."""

    def __init__(self, path: Path, pid: str) -> None:
        super().__init__(f"already running here, pid {pid or 'unknown'} ({path.parent})")
        self.pid = pid


class HomeLock:
    """Held from `acquire` to `release`, or to the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process id into its file.

        Raises:
            AlreadyRunningError: somebody else holds it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock(descriptor, fcntl.LOCK_EX, _PATIENCE):
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise AlreadyRunningError(self._path, holder)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up. The file stays: deleting it would let two holders lock two files of one name."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        """Acquire."""
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release."""
        self.release()


def holder_of(path: Path) -> int | None:
    """The process id of whoever holds the lock of that file; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if _lock(descriptor, fcntl.LOCK_SH, patience=0):
            return None
        return int(os.pread(descriptor, 32, 0).decode(errors="replace").strip() or 0)
    except ValueError:
        return 0  # held, by something that is no platform
    finally:
        os.close(descriptor)


def _lock(descriptor: int, mode: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_PAUSE)
        else:
            return True
