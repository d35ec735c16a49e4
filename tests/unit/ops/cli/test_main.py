import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ops.cli import COMMANDS, main

# Ctrl-C comes while a module is imported.
IMPORTING = """
import signal, sys
from importlib.abc import MetaPathFinder

held = sys.argv.pop(1)

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == held:
            print("importing", flush=True)
            signal.pause()

sys.meta_path.insert(0, Slow())
from ops.__main__ import main
main()
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_name_it_is_listed_under_and_a_help(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.get_short_help_str()


def test_the_help_lists_every_command() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    listed = [line.split()[0] for line in shown.partition("Commands:\n")[2].splitlines()]
    assert listed == list(COMMANDS)


def test_an_unknown_command_is_named() -> None:
    result = CliRunner().invoke(main, ["upp"])
    assert result.exit_code == 2
    assert "No such command 'upp'" in result.output


def test_a_role_imports_nothing_of_the_other_commands() -> None:
    code = "import sys; from ops.cli import main; main(['worker', '--help'], standalone_mode=False);"
    code += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"sqlalchemy", "alembic", "psycopg2", "rich", "urllib3", "ops.supervisor", "ops.tour"}


WITHOUT = """
import sys
from importlib import util

absent = sys.argv.pop(1).split(",")
find = util.find_spec
util.find_spec = lambda name, *rest: None if name in absent else find(name, *rest)
sys.modules.update(dict.fromkeys(absent))  # importing one fails as if it were not there
from ops.__main__ import main
main()
"""


def run_without_workers_libraries(*words: str) -> subprocess.CompletedProcess[str]:
    absent = "idna,jinja2,standardwebhooks,typst,vl_convert,xlsxwriter"
    servers = {"JOBYARD_DATABASE_URL": "postgresql://nowhere/x", "JOBYARD_BROKER_URL": "redis://nowhere"}
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, absent, *words],
        env=os.environ | servers,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_needs_the_libraries_of_workers_says_so_where_they_are_missing() -> None:
    done = run_without_workers_libraries("worker", "web")
    assert done.returncode == 1
    assert "is installed with workers alone" in done.stderr
    assert "pip install 'jobyard[worker]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "api",
        "beat",
        "flower",
        "migrate",
        "clients",
        "keys",
        "jobs",
        "batches",
        "schedules",
        "queues",
        "top",
        "settings",
    ],
)
def test_what_accepts_and_times_work_needs_no_library_of_workers(name: str) -> None:
    done = run_without_workers_libraries(name, "--help")
    assert (done.returncode, done.stderr) == (0, "")


def test_all_commands_are_listed_without_the_libraries_of_workers() -> None:
    done = run_without_workers_libraries("--help")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", ["api.wsgi", "schedules.beat", "ops.flower", "ops.cli.schema"])
def test_a_role_but_workers_loads_without_the_libraries_of_workers(module: str) -> None:
    absent = "idna,jinja2,standardwebhooks,typst,vl_convert,xlsxwriter"
    code = f"import sys; sys.modules.update(dict.fromkeys({absent!r}.split(','))); import {module}"
    servers = {"JOBYARD_DATABASE_URL": "postgresql://nowhere/x", "JOBYARD_BROKER_URL": "redis://nowhere"}
    subprocess.run([sys.executable, "-c", code], env=os.environ | servers, check=True)


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("up", "click"),
        ("up", "ops.supervisor"),
        ("up", "ops.cli.view"),
        ("demo", "click"),
        ("demo", "ops.tour"),
    ],
)
def test_ctrl_c_while_it_starts_ends_it_quietly(tmp_path: Path, module: str, command: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTING, module, command],
        env={**os.environ, "JOBYARD_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert said == ""
    assert process.returncode == 130
    assert not (tmp_path / "home").exists()


def test_ctrl_c_at_work_ends_a_command_quietly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Interrupted:
        def __init__(self, *_: object, **__: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr("ops.cli.up.Supervisor", Interrupted)
    result = CliRunner().invoke(main, ["up"], env={"JOBYARD_HOME": str(tmp_path)})
    assert result.exit_code == 130
    assert result.output == ""


def test_after_the_import_ctrl_c_is_the_commands_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert main.get_command(click.Context(main), "jobs") is not None
    assert signal.getsignal(signal.SIGINT) is before
