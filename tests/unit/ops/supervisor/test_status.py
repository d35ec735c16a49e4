import json
import os
import stat
from pathlib import Path

import msgspec
import pytest

from ops.embedded.home import Home
from ops.embedded.lock import HomeLock
from ops.supervisor.status import Addresses, ProcessState, ProcessStatus, Status, read_status, write_status

STATUS = Status(
    pid=1,
    urls=Addresses(
        api="http://a",
        flower="http://u:p@f",
        database="postgresql://d",
        broker="redis://b",
        smtp="smtp://m",
        sources={"warehouse": "postgresql://w"},
    ),
    key_file="/home/key",
    processes=(
        ProcessStatus(
            role="worker",
            name="worker-web",
            pid=2,
            state=ProcessState.BACKING_OFF,
            started=1.5,
            metrics_port=20001,
        ),
    ),
)


def test_is_json_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_status(home, STATUS)
    assert stat.S_IMODE(home.status.stat().st_mode) == 0o600
    shown = json.loads(home.status.read_text())
    assert shown["urls"]["flower"] == "http://u:p@f"
    assert shown["processes"][0]["state"] == "backing-off"


def test_is_alive_as_long_as_its_supervisor_holds_the_lock(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ours = msgspec.structs.replace(STATUS, pid=os.getpid())
    write_status(home, ours)
    with HomeLock(home.lock):
        held = read_status(tmp_path)
    left = read_status(tmp_path)
    assert held is not None
    assert left is not None
    assert (held.status, held.alive) == (ours, True)
    assert (left.status, left.alive) == (ours, False)


def test_what_an_older_version_wrote_is_read(tmp_path: Path) -> None:
    written = json.loads(msgspec.json.encode(STATUS))
    del written["urls"]["smtp"], written["urls"]["sources"]
    Home(tmp_path).status.write_text(json.dumps(written))
    record = read_status(tmp_path)
    assert record is not None
    assert record.status.processes == STATUS.processes


def test_an_unused_home_has_none(tmp_path: Path) -> None:
    assert read_status(tmp_path) is None


def test_what_something_else_wrote_is_refused(tmp_path: Path) -> None:
    Home(tmp_path).status.write_text('{"pid": "one"}')
    with pytest.raises(msgspec.MsgspecError):
        read_status(tmp_path)


def test_what_a_killed_supervisor_wrote_is_not_the_word_of_the_next_one(tmp_path: Path) -> None:
    write_status(Home(tmp_path), STATUS)
    with HomeLock(Home(tmp_path).lock):
        record = read_status(tmp_path)
    assert record is not None
    assert not record.alive
