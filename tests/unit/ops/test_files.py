import errno
import stat
from pathlib import Path

import pytest

from ops.files import create_private, write_private


def test_replaces_a_file_by_one_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_replaces_a_link_and_not_what_it_points_at(tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "valkey.conf"
    target.write_text("precious")
    link.symlink_to(target)
    write_private(link, "new")
    assert target.read_text() == "precious"
    assert not link.is_symlink()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert create_private(path, b"first", b" half")
    assert not create_private(path, b"second")
    assert path.read_bytes() == b"first half"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_for_which_there_is_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ops.files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        create_private(tmp_path / "key", b"text")
    assert list(tmp_path.iterdir()) == []
