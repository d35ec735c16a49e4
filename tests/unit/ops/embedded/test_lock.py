import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.embedded.lock import AlreadyRunningError, HomeLock, holder_of

HOLD = """
import sys
from pathlib import Path
from ops.embedded.lock import HomeLock
HomeLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=Path(__file__).parents[4],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    holder = hold(tmp_path / "lock")
    with pytest.raises(AlreadyRunningError, match=f"already running here, pid {holder.pid} ") as caught:
        HomeLock(tmp_path / "lock").acquire()
    assert caught.value.pid == str(holder.pid)
    holder.communicate()


def test_a_killed_holder_holds_nothing_though_its_id_stays_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = hold(path)
    assert holder_of(path) == holder.pid
    holder.kill()
    holder.communicate()
    assert path.read_text() == f"{holder.pid}\n"
    assert holder_of(path) is None
    with HomeLock(path):
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_released_lock_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = HomeLock(path)
    lock.acquire()
    lock.release()
    lock.release()
    assert holder_of(path) is None
    with HomeLock(path):
        assert holder_of(path) == os.getpid()


def test_a_home_that_was_never_used_is_not_held(tmp_path: Path) -> None:
    assert holder_of(tmp_path / "lock") is None
