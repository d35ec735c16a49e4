"""How much memory processes hold, and held at most."""

import os
import re
import resource
import sys
from pathlib import Path

import psutil

MB = 1_000_000


def peak() -> float:
    """The most memory that this process ever held, in MB (getrusage(2): KiB on Linux, bytes on macOS)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024) / MB


def family(pid: int) -> list[psutil.Process]:
    """A process and all that come of it; those that are gone meanwhile are left out."""
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def held(processes: list[psutil.Process]) -> float:
    """The memory of processes together, in MB, what they share counted once (PSS; proc_pid_smaps(5))."""
    return sum(_pss(process) for process in processes) / MB


def own(processes: list[psutil.Process]) -> float:
    """The same without memory that is shared on purpose: PostgreSQL's buffers, which fill as data come."""
    return held(processes) - sum(map(_shared, processes)) / MB


def processor(processes: list[psutil.Process]) -> float:
    """Seconds of the processor that processes, and children of theirs that ended, took since they began."""
    return sum(_seconds(process) for process in processes)


def others() -> float:
    """Seconds of the processor that everything started from here took, this process left out."""
    mine = psutil.Process().cpu_times()
    return processor(family(os.getpid())) - float(mine.user + mine.system)


def _pss(process: psutil.Process) -> float:
    try:
        found = process.memory_full_info()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return float(getattr(found, "pss", found.rss))


def _shared(process: psutil.Process) -> float:
    """Its part of shared memory (`Pss_Shmem`; Linux alone tells)."""
    try:
        told = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss_Shmem:\s+(\d+) kB$", told, re.MULTILINE)
    return 1024.0 * float(found[1]) if found else 0.0


def _seconds(process: psutil.Process) -> float:
    """Its own, and those of its children that ended."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
