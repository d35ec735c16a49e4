"""How much memory processes hold."""

import mmap
from pathlib import Path

import psutil
import pytest

from ops.bench import memory

_SIZE = 32_000_000  # bytes


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux alone tells")
def test_what_is_shared_on_purpose_is_not_a_process_s_own() -> None:
    me = [psutil.Process()]
    before, before_own = memory.held(me), memory.own(me)
    with mmap.mmap(-1, _SIZE) as shared:  # anonymous and shared, as PostgreSQL's buffers
        for page in range(0, _SIZE, mmap.PAGESIZE):
            shared[page] = 1
        assert memory.held(me) - before > 30
        assert memory.own(me) - before_own < 10
