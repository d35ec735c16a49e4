import os
import stat
from pathlib import Path

import pytest

from ops.embedded.home import Home
from ops.embedded.program import ServerError


def test_a_new_home_is_closed_to_strangers(tmp_path: Path) -> None:
    home = Home(tmp_path / "deep" / "home")
    home.create(os.getgid())
    assert stat.S_IMODE(home.path.stat().st_mode) & 0o027 == 0
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700


def test_a_home_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    Home(tmp_path).create(os.getgid())
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_home_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ServerError, match=r"belongs to somebody else.*set JOBYARD_HOME"):
        Home(tmp_path).create(os.getgid())


def test_a_log_is_appended_to_and_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create(os.getgid())
    for line in (b"one\n", b"two\n"):
        with home.open_log("api") as log:
            log.write(line)
    assert home.log("api").read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(home.log("api").stat().st_mode) == 0o600
