import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from click.testing import CliRunner, Result

from ops.cli import main
from tests.unit.worker.definitions.folders import good, written
from worker.definitions import SECTIONS, schema

NONE: Mapping[str, str] = MappingProxyType({})
SERVERS = {
    "JOBYARD_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "JOBYARD_BROKER_URL": "redis://127.0.0.1:1",
}


def command(*words: str, folder: Path | None = None, environ: Mapping[str, str] = NONE) -> Result:
    own = {} if folder is None else {"JOBYARD_DEFINITIONS": str(folder)}
    return CliRunner().invoke(main, words, env={**own, **environ})


def test_definitions_are_listed_with_what_they_are_and_take(tmp_path: Path) -> None:
    result = command("definitions", "list", folder=written(tmp_path, good()))
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.splitlines()]
    assert ["reports", "orders", "Orders", "since"] in rows
    assert ["statements", "see", "id"] in rows
    assert ["templates", "welcome", "A", "welcome.", "name"] in rows
    assert ["sources", "shop", "Orders."] in rows


@pytest.mark.parametrize("words", [("definitions", "list"), ("worker", "database")])
def test_faults_end_a_command_with_each_file_and_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    def become(*_words: object) -> None:
        raise AssertionError("the worker started")

    monkeypatch.setattr("ops.cli.roles.os.execve", become)
    folder = written(tmp_path, {"sources/shop.toml": "wrong = 1\nurl = 'postgresql://joe:s3cret@h/d'\n"})
    result = command(*words, folder=folder, environ=SERVERS)
    assert result.exit_code == 1
    assert f"\n{folder}/sources/shop.toml:1: there is no field `wrong`" in result.output
    assert (
        f"\n{folder}/sources/shop.toml:2: there is no field `url`: secrets stand in no file" in result.output
    )
    assert "s3cret" not in result.output


def test_a_worker_starts_without_the_urls_of_sources_and_says_which(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[object] = []
    monkeypatch.setattr("ops.cli.roles.os.execve", lambda *words: started.append(words))
    files = {"sources/shop.toml": "", "sources/old.toml": ""}
    set_ = {"JOBYARD_SOURCE_OLD_URL": "postgresql://h/old"}
    result = command("worker", "database", folder=written(tmp_path, files), environ=SERVERS | set_)
    assert (result.exit_code, len(started)) == (0, 1)
    assert "JOBYARD_SOURCE_SHOP_URL is not set: jobs that need its data source fail" in result.stderr
    assert "OLD" not in result.stderr
    assert "LEDGER" not in result.stderr


@pytest.mark.parametrize("section", SECTIONS)
def test_the_schema_of_a_section_is_printed_as_json(section: str) -> None:
    assert json.loads(command("definitions", "schema", section).output) == json.loads(
        json.dumps(schema(section))
    )


def test_a_section_that_there_is_not_is_refused_with_those_there_are() -> None:
    result = command("definitions", "schema", "tables")
    assert result.exit_code == 2
    assert "'sources', 'statements', 'reports', 'templates'" in result.output


def test_settings_show_each_source_and_no_secret() -> None:
    secrets = {
        "JOBYARD_SOURCE_SHOP_URL": "postgresql://joe:s3cret@h/shop",
        "JOBYARD_SOURCE_OLD_URL": "postgresql://joe:s3cret@h/old",
        "JOBYARD_SMTP_URL": "smtps://joe:s3cret@mail.example.org",
    }
    output = command("settings", environ=secrets).output
    assert "s3cret" not in output
    shown = {line.split()[0]: line.split()[1] for line in output.splitlines() if line.strip()}
    assert {variable: shown[variable] for variable in secrets} == dict.fromkeys(secrets, "***")


def test_settings_name_the_variable_of_a_source_where_none_is_set() -> None:
    output = command("settings").output
    assert "JOBYARD_SOURCE_<NAME>_URL" in output
    assert "JOBYARD_SOURCES" not in output
