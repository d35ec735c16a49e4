import stat
from pathlib import Path

from ops.embedded.passwords import password
from ops.files import create_private


def test_is_drawn_once_and_kept_for_its_owner(tmp_path: Path) -> None:
    drawn = password(tmp_path, "database")
    assert len(drawn) >= 32
    assert password(tmp_path, "database") == drawn
    assert password(tmp_path, "broker") != drawn
    assert stat.S_IMODE((tmp_path / "database").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broker", "database"]


def test_two_that_draw_at_once_agree(tmp_path: Path) -> None:
    assert create_private(tmp_path / "database", b"first\n")
    assert not create_private(tmp_path / "database", b"second\n")
    assert password(tmp_path, "database") == "first"
