from pathlib import Path

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


def test_kinds_that_are_not_known_here_are_allowed_and_told(database_url: str, tmp_path: Path) -> None:
    result = jobyard(database_url, tmp_path, "keys", "add", "acme", "--kinds", "web.*,wbe.*,shop.order")
    assert result.exit_code == 0
    assert "wbe.* stands for no kind that is known here: " in result.stderr
    assert "shop.order stands for no kind" in result.stderr
    assert "web.fetch" in result.stderr
    assert "web.* stands" not in result.stderr
    assert rights(database_url, result.stdout.strip()) == Rights(("shop.order", "wbe.*", "web.*"))


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
