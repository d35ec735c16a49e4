from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops.mail.folder import MailFolder, arrival


@pytest.fixture
def folder(tmp_path: Path) -> MailFolder:
    folder = MailFolder(tmp_path / "home")
    folder.create()
    return folder


def test_mails_of_one_instant_are_all_kept_in_their_order(
    folder: MailFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            assert tz is UTC
            return datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC)

    monkeypatch.setattr("ops.mail.folder.datetime", Stopped)
    stored = [folder.store("a@b", ["c@d"], b"%d" % number) for number in range(3)]
    assert [path.stem for path in stored] == [
        "20260102T030405.999999Z",
        "20260102T030406.000000Z",
        "20260102T030406.000001Z",
    ]
    assert folder.files() == stored[::-1]
    assert arrival(stored[0]) == datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC)


def test_what_a_killed_sink_began_is_cleared_away_and_nothing_else(folder: MailFolder) -> None:
    kept = folder.store("a@b", ["c@d"], b"")
    for name in (".hidden", "notes.txt"):
        (folder.path / name).touch()
    (folder.path / ".20260102T030405.000000Z.eml.0a1b2c3d").write_bytes(b"half")
    folder.create()
    assert {path.name for path in folder.path.iterdir()} == {kept.name, ".hidden", "notes.txt"}


def test_a_mail_is_found_by_its_id_alone(folder: MailFolder) -> None:
    stored = folder.store("a@b", ["c@d"], b"")
    (folder.path.parent / "key.eml").touch()
    assert folder.file(stored.stem) == stored
    assert folder.file("../key") is None
    assert folder.file("") is None


def test_a_folder_that_was_never_made_holds_nothing(tmp_path: Path) -> None:
    assert MailFolder(tmp_path).files() == []
