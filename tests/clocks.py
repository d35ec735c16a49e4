"""Processes whose wall clock is wrong.

By a preloaded library of a few lines. Debian's `faketime` moves or breaks the clock of timers as well, so
that Python's sleeps fail or its events never come (0.9.10, Python 3.11).
"""

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_SOURCE = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long ahead(void) { const char *text = getenv("WRONG_BY"); return text ? atol(text) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) now->tv_sec += ahead();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *copy) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (copy) *copy = now.tv_sec;
    return now.tv_sec;
}
"""

_COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

needs_wrong_clocks = pytest.mark.skipif(
    _COMPILER is None or sys.platform != "linux", reason="a wrong clock needs Linux and a C compiler"
)


def wrong_by(minutes: int) -> dict[str, str]:
    """Environment variables of a process whose clock is that far ahead."""
    return {"LD_PRELOAD": str(_library()), "WRONG_BY": str(60 * minutes)}


@functools.cache
def _library() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="jobyard-wrong-clock-"))
    atexit.register(shutil.rmtree, folder)
    assert _COMPILER is not None
    command = [_COMPILER, "-shared", "-fPIC", "-O1", "-o", "clock.so", "-x", "c", "-"]
    subprocess.run(command, input=_SOURCE, text=True, cwd=folder, check=True)
    return folder / "clock.so"
