"""Forks, in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]

FORK_WHILE_HELD = """
import os, threading, time
from worker.runtime.forking import exclusion

lock = exclusion("test")
assert exclusion("test") is lock
held, times = threading.Event(), {}

def hold():
    with lock:
        held.set()
        time.sleep(0.3)
        times["released"] = time.monotonic()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
times["forked"] = time.monotonic()
if child == 0:
    os._exit(0 if lock.acquire(timeout=1) else 1)  # the child can use it too
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
thread.join()
assert times["forked"] >= times["released"]
assert lock.acquire(timeout=1)
"""


def test_a_fork_waits_for_who_holds_the_exclusion() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK_WHILE_HELD], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
