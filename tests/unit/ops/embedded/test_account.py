import os
import pwd
from pathlib import Path

import pytest

from ops.embedded import account
from ops.embedded.account import Account, entering, server_account
from ops.embedded.program import ServerError


def test_an_ordinary_user_runs_the_servers_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    me = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(os, "geteuid", lambda: me.pw_uid or 4242)
    found = server_account("nobody")
    assert found.uid == (me.pw_uid or 4242)
    assert found.popen == {}
    assert entering(found, Path("/bin/true"), Path("/")) == found


def test_root_hands_them_to_the_account_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    nobody = pwd.getpwnam("nobody")
    found = server_account("nobody")
    assert found.owner == (nobody.pw_uid, nobody.pw_gid)
    assert found.popen == {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": ()}


def test_root_is_told_when_there_is_no_such_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ServerError, match=r"'no-such-user'.*set JOBYARD_SERVER_USER"):
        server_account("no-such-user")


def test_root_is_told_that_postgresql_refuses_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ServerError, match="PostgreSQL refuses to run as root"):
        server_account("root")


def test_without_setpriv_a_closed_folder_is_refused_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr(account, "_try", lambda *_: "Permission denied")
    closed = Account("nobody", 65534, 65534, switch=True)
    with pytest.raises(ServerError, match=r"Permission denied.*set JOBYARD_HOME.*JOBYARD_DATABASE_URL"):
        entering(closed, Path("/bin/true"), tmp_path)
