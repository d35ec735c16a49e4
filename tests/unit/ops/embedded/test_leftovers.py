import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ops.embedded.leftovers import stop_processes, stop_servers

DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
while True:
    signal.pause()
"""
NAME = psutil.Process().name()


@pytest.fixture
def marked() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()", "mark-of-this-home"])
    yield process
    process.kill()
    process.wait()


def test_stops_the_server_of_this_mark(marked: "subprocess.Popen[bytes]") -> None:
    stop_servers(psutil.Process(marked.pid).name(), "mark-of-this-home", ((signal.SIGTERM, 10),))
    assert marked.wait() == -signal.SIGTERM


def test_leaves_other_homes_and_other_programs_alone(marked: "subprocess.Popen[bytes]") -> None:
    stop_servers(psutil.Process(marked.pid).name(), "mark-of-another-home", ((signal.SIGTERM, 10),))
    stop_servers("postgres", "mark-of-this-home", ((signal.SIGTERM, 10),))
    assert marked.poll() is None


def test_kills_what_does_not_listen() -> None:
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    stop_processes([psutil.Process(process.pid)], ((signal.SIGTERM, 0.1),))
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_does_not_wait_for_what_has_ended_and_is_not_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # it has ended once its output has
    zombie = psutil.Process(process.pid)
    stop_processes([zombie], ((signal.SIGTERM, 3600),))
    process.communicate()
