from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from worker.contract import Rights
from worker.ledger import clients
from worker.ledger.engines import Ledger
from worker.settings import Settings


@pytest.fixture(scope="module", autouse=True)
def client(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert jobyard(database_url, tmp_path_factory.mktemp("home"), "clients", "add", "acme").exit_code == 0


def jobyard(database_url: str, home: Path, *words: str) -> Result:
    environ = {"JOBYARD_DATABASE_URL": database_url, "JOBYARD_HOME": str(home)}
    return CliRunner().invoke(main, words, env=environ)


def rights(database_url: str, key: str) -> Rights:
    ledger = Ledger.open(Settings(database_url=database_url), "test")
    with ledger.write() as connection:
        client = clients.client_of_key(connection, key)
    ledger.close()
    assert client
    return client.rights


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), Rights()),
        (("--kinds", "web.fetch"), Rights(("web.fetch",))),
        (("--kinds", "web.*, upkeep.prune,web.*"), Rights(("upkeep.prune", "web.*"))),
        (("--kinds", "*"), Rights(("*",))),
    ],
)
def test_a_key_is_bound_to_the_kinds_that_are_said(
    database_url: str, tmp_path: Path, words: tuple[str, ...], expected: Rights
) -> None:
    result = jobyard(database_url, tmp_path, "keys", "add", "acme", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    assert rights(database_url, result.stdout.strip()) == expected


def test_kinds_that_are_not_known_here_are_refused_unless_forced(database_url: str, tmp_path: Path) -> None:
    words = ("keys", "add", "acme", "--kinds", "web.*,wbe.*")
    result = jobyard(database_url, tmp_path, *words)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "wbe.* stands for no kind that is known here: " in result.stderr
    assert "web.fetch" in result.stderr
    forced = jobyard(database_url, tmp_path, *words, "--force")
    assert (forced.exit_code, forced.stderr) == (0, "")
    assert rights(database_url, forced.stdout.strip()) == Rights(("wbe.*", "web.*"))


def test_a_scope_that_there_is_not_makes_no_key(database_url: str, tmp_path: Path) -> None:
    result = jobyard(database_url, tmp_path, "keys", "add", "acme", "--scopes", "read,write")
    assert result.exit_code == 2
    assert "'write' is no scope: read, submit, operate, admin are" in result.stderr


def test_keys_are_rotated_and_revoked_and_the_audit_log_tells(database_url: str, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = jobyard(database_url, tmp_path, *words)
        assert result.exit_code == 0, result.output
        return result.stdout.strip()

    run("clients", "add", "rotating")
    first = run("keys", "add", "rotating", "--scopes", "read", "--label", "robot")
    old_id = run("keys", "list", "rotating").splitlines()[1].split()[0]
    second = run("keys", "rotate", old_id, "--overlap", "2")
    assert second.startswith("jy_")
    assert second != first
    new_id = run("keys", "list", "rotating").splitlines()[2].split()[0]
    run("keys", "revoke", new_id)

    entries = [msgspec.json.decode(line) for line in run("audit", "--json", "--limit", "4").splitlines()]
    assert [entry["act"] for entry in entries] == ["key.revoke", "key.rotate", "key.add", "client.add"]
    assert [entry["subject"] for entry in entries] == [new_id, new_id, old_id, "rotating"]
    assert all("@" in entry["actor"] for entry in entries)
    assert entries[1]["details"]["old"] == old_id
    assert entries[2]["details"]["scopes"] == ["read"]
    assert first not in str(entries)
    assert second not in str(entries)
    assert "key.rotate" in run("audit")
    assert "key.rotate" not in run("audit", "--act", "key.revoke")


@pytest.mark.parametrize("kinds", ["", "web", "web.*,", "web.fe*", "*.fetch"])
def test_what_is_no_pattern_makes_no_key(database_url: str, tmp_path: Path, kinds: str) -> None:
    result = jobyard(database_url, tmp_path, "keys", "add", "acme", "--kinds", kinds)
    assert result.exit_code == 2
    assert "is no pattern of kinds: write *, email.* or email.send" in result.stderr


def test_the_list_shows_what_each_key_may_submit(database_url: str, tmp_path: Path) -> None:
    jobyard(database_url, tmp_path, "clients", "add", "listed")
    jobyard(database_url, tmp_path, "keys", "add", "listed", "--label", "free")
    jobyard(
        database_url, tmp_path, "keys", "add", "listed", "--label", "bound", "--kinds", "web.*,upkeep.prune"
    )
    output = jobyard(database_url, tmp_path, "keys", "list", "listed").output
    shown = {words[2]: words[3] for line in output.splitlines()[1:] if (words := line.split())}
    assert shown == {"free": "*", "bound": "upkeep.prune,web.*"}
