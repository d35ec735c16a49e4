from pathlib import Path

import pytest

from ops.supervisor import logs


def test_a_log_that_grew_is_turned_over_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old " * 25)
        logs.bound(log, limit=100)
        writer.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "api.log.1").read_bytes() == b"old " * 25


def test_a_small_log_and_a_missing_one_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_bytes(b"small")
    logs.bound(tmp_path / "api.log", limit=100)
    logs.bound(tmp_path / "beat.log", limit=100)
    assert [path.name for path in tmp_path.iterdir()] == ["api.log"]


def test_a_full_disk_gets_its_space_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    log = tmp_path / "api.log"
    log.write_bytes(b"old " * 25)
    monkeypatch.setattr("shutil.copyfile", full)
    logs.bound(log, limit=100)
    assert log.read_bytes() == b""
