import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.embedded.home import Home
from ops.supervisor.leftovers import stop_roles
from ops.supervisor.status import Addresses, ProcessState, ProcessStatus, Status, write_status

Process = subprocess.Popen[bytes]


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[Process]:
    """Something that looks as a role of this HOME does."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"],
        start_new_session=True,
        env={"JOBYARD_HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()  # from now on its environment is its own
    yield process
    process.stdout.close()
    process.kill()
    process.wait()


def record(home: Path, process: Process, *, role: str = "worker", started: float | None = None) -> None:
    status = ProcessStatus(
        role=role,
        name="worker-web",
        pid=process.pid,
        state=ProcessState.RUNNING,
        started=started or psutil.Process(process.pid).create_time(),
        metrics_port=None,
    )
    urls = Addresses(api="", flower="", database="", broker="")
    write_status(Home(home), Status(pid=1, urls=urls, key_file="", processes=(status,)))


def test_a_recorded_role_is_stopped(tmp_path: Path, orphan: Process) -> None:
    record(tmp_path, orphan)
    stop_roles(Home(tmp_path))
    assert orphan.poll() is not None


def test_another_process_that_got_its_id_is_left_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.pause()"],
        start_new_session=True,
        env={"JOBYARD_HOME": str(tmp_path / "another")},
    )
    record(tmp_path, other, started=1000.0)
    stop_roles(Home(tmp_path))
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_set_clock_does_not_hide_a_role(tmp_path: Path, orphan: Process) -> None:
    record(tmp_path, orphan, started=psutil.Process(orphan.pid).create_time() - 3600)
    stop_roles(Home(tmp_path))
    assert orphan.poll() is not None


def test_servers_and_our_own_session_are_left_alone(tmp_path: Path, orphan: Process) -> None:
    record(tmp_path, orphan, role="database")
    stop_roles(Home(tmp_path))
    assert orphan.poll() is None
    assert os.getsid(0) != orphan.pid


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}'])
def test_a_status_that_cannot_be_read_is_no_hindrance(tmp_path: Path, text: str) -> None:
    Home(tmp_path).status.write_text(text)
    stop_roles(Home(tmp_path))
