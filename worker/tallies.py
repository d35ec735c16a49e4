"""The files in which the processes of a role share their metrics, with room on the disk before they are used.

prometheus-client maps sparse files into memory. Where the disk is full, touching a page of one that has no
room yet is no error that could be caught: the kernel ends the process (SIGBUS, mmap(2)).
"""

import errno
import os
from contextlib import ExitStack, suppress
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

_ROOM = 65536  # bytes of a new file: prometheus-client's own first size
_FRAME = 32  # bytes of an entry beside its key, at most
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def keep_room() -> None:
    """Have the values that this process makes from now on use such files."""
    values.MmapedDict = _Roomy  # type: ignore[attr-defined]  # what its values look up


class _Roomy(MmapedDict):
    """A file of values; what finds no room is not counted until there is some, and a new file is memory."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        with ExitStack() as stack:
            name = filename if read_mode else _with_room(filename, stack)
            super().__init__(name, read_mode)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> Any:
        """A value and its time."""
        with suppress(OSError):
            return super().read_value(key)  # type: ignore[no-untyped-call]
        return 0.0, 0.0

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Note a value."""
        with suppress(OSError):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + _FRAME > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _with_room(filename: str, stack: ExitStack) -> str:
    """The name of a file with room: that one, or memory where its disk has none."""
    try:
        _reserve(filename)
    except OSError as error:
        if error.errno not in _FULL or not hasattr(os, "memfd_create"):
            raise
        memory = os.memfd_create("metrics")
        stack.callback(os.close, memory)  # whoever opens it by its name holds it
        return f"/proc/self/fd/{memory}"
    return filename


def _reserve(filename: str) -> None:
    descriptor = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_size < _ROOM:
            os.posix_fallocate(descriptor, 0, _ROOM)
    finally:
        os.close(descriptor)
