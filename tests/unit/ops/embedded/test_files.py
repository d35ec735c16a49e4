import stat
from pathlib import Path

import pytest

from ops.embedded.files import write_private


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
