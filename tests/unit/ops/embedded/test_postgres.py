import os
from pathlib import Path

import pytest

from ops.embedded.home import Home
from ops.embedded.postgres import PostgresServer, _drop_stale_pid_file


@pytest.mark.parametrize("text", ["{ours}", "4194303", "", "no number"])
def test_a_pid_file_that_names_no_living_postgresql_is_dropped(tmp_path: Path, text: str) -> None:
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(text.format(ours=os.getpid()) + "\n/data\n")
    _drop_stale_pid_file(pid_file)
    assert not pid_file.exists()


def test_no_pid_file_is_fine(tmp_path: Path) -> None:
    _drop_stale_pid_file(tmp_path / "postmaster.pid")


def test_two_homes_have_twomarks(tmp_path: Path) -> None:
    one, two = (PostgresServer(Home(tmp_path / name), "nobody", 0) for name in ("one", "two"))
    assert one.mark != two.mark
    assert one.mark == PostgresServer(Home(tmp_path / "one"), "nobody", 0).mark
