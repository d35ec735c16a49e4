"""The files in which the processes of a role share their metrics, with room on the disk before they are used.

prometheus-client maps sparse files into memory. Where the disk is full, touching a page of one that has no
room yet is no error that could be caught: the kernel ends the process (SIGBUS, mmap(2)). And it keeps the
files of every process that there ever was: here what those counted that ended goes into one for all.
"""

import errno
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import psutil
from prometheus_client import CollectorRegistry, Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's own variable

_ROOM = 65536  # bytes of a new file: prometheus-client's own first size
_FRAME = 32  # bytes of an entry beside its key, at most
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


_KEPT = ("counter", "histogram")  # what counts on when its process has ended
_ENDED = "ended"  # in the place of a process id


def keep_room() -> None:
    """Have the values that this process makes from now on use such files."""
    values.MmapedDict = _Roomy  # type: ignore[attr-defined]  # what its values look up


class Shared(MultiProcessCollector):
    """Collects from the processes that share a folder: gauges of those that live, counts of all."""

    def __init__(self, registry: CollectorRegistry, folder: Path) -> None:
        super().__init__(registry, str(folder))  # type: ignore[no-untyped-call]
        self._folder = folder
        self._collecting = threading.Lock()  # two may ask at once, and files go away here

    def collect(self) -> Iterable[Metric]:
        """A process that was killed could not take its own values away."""
        with self._collecting:
            for pid in set(self._pids()):
                if not psutil.pid_exists(pid):
                    _bury(self._folder, pid)
            metrics: Iterable[Metric] = super().collect()  # type: ignore[no-untyped-call]
            return metrics

    def _pids(self) -> Iterator[int]:
        for file in self._folder.glob("*_*.db"):
            pid = file.stem.rpartition("_")[2]
            if pid.isdecimal():
                yield int(pid)


def _bury(folder: Path, pid: int) -> None:
    """Add what a process counted to what those before it did, and drop its files."""
    mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
    for kept in _KEPT:
        file = folder / f"{kept}_{pid}.db"
        if not file.exists():
            continue
        with closing(_Roomy(str(folder / f"{kept}_{_ENDED}.db"))) as ended:
            for key, value, moment, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
                ended.write_value(key, ended.read_value(key)[0] + value, moment)
        file.unlink()


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
