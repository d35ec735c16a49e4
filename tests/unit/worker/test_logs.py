"""Log lines, in a process of its own: loguru is one for a whole process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
import logging, sys
from loguru import logger
from worker import logs
from worker.settings import Settings
logs.set_up(Settings(home=sys.argv[1]), "worker-email")
"""


def run(home: Path, program: str) -> tuple[list[dict[str, Any]], str]:
    """The lines of the file, and what the console showed."""
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program, str(home)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    text = (home / "logs" / "worker-email.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()], done.stderr


def test_a_line_is_an_event_and_its_fields(tmp_path: Path) -> None:
    (line,), console = run(tmp_path, "logger.bind(job='j1').info('something_happened', size=3, ok=True)")
    assert (line["event"], line["level"], line["role"]) == ("something_happened", "INFO", "worker-email")
    assert (line["job"], line["size"], line["ok"]) == ("j1", 3, True)
    assert line["pid"] > 0
    assert line["time"].count(":") >= 2
    assert "something_happened job=j1 size=3 ok=True" in console


def test_a_field_takes_no_other_ones_place(tmp_path: Path) -> None:
    program = "logger.info('event', line=3, fields=[1], shown=2, role='admin', pid=0, level='low')"
    (line,), _ = run(tmp_path, program)
    assert (line["line"], line["fields"], line["shown"]) == (3, "[1]", 2)
    assert (line["role"], line["role_"]) == ("worker-email", "admin")
    assert (line["level"], line["level_"], line["pid_"]) == ("INFO", "low", 0)


def test_a_line_stays_one_line_whatever_it_holds(tmp_path: Path) -> None:
    program = "logger.info('event', text='two\\nlines', brackets='{extra} <red>', thing=object)"
    (line,), _ = run(tmp_path, program)
    assert line["text"] == "two\nlines"
    assert line["brackets"] == "{extra} <red>"
    assert line["thing"] == "<class 'object'>"


def test_the_console_shows_fields_as_they_are(tmp_path: Path) -> None:
    _, console = run(tmp_path, "logger.info('event', text='{extra} <red>')")
    assert "event text={extra} <red>" in console


@pytest.mark.parametrize(
    "field", ["password", "api_key", "apikey", "claim_token", "authorization", "db_passwd", "client_secret"]
)
def test_a_field_that_is_named_like_a_secret_is_not_shown(tmp_path: Path, field: str) -> None:
    (line,), console = run(tmp_path, f"logger.info('event', {field}='s3cret')")
    assert line[field] == "***"
    assert "s3cret" not in console


def test_lines_of_libraries_go_the_same_way(tmp_path: Path) -> None:
    program = "logging.getLogger('some.library').warning('it said %s {x}', 'this')"
    (line,), _ = run(tmp_path, program)
    assert (line["event"], line["level"], line["library"]) == ("it said this {x}", "WARNING", "some.library")


def test_what_celery_says_of_every_message_is_left_out(tmp_path: Path) -> None:
    program = (
        "logging.getLogger('celery.worker.strategy').info('Task received')\n"
        "logging.getLogger('celery.worker').info('ready')\n"
    )
    lines, _ = run(tmp_path, program)
    assert [line["event"] for line in lines] == ["ready"]


def test_an_exception_is_named_and_shows_no_variables(tmp_path: Path) -> None:
    program = """
def fail():
    password = "s3cret"
    raise ValueError("broken")
try:
    fail()
except ValueError as error:
    logger.opt(exception=error).error("it_failed")
"""
    (line,), console = run(tmp_path, program)
    assert line["exception"] == "ValueError('broken')"
    assert "Traceback" in console
    assert "s3cret" not in console.replace('password = "s3cret"', "")


def test_less_severe_lines_are_left_out(tmp_path: Path) -> None:
    lines, _ = run(tmp_path, "logger.debug('detail')\nlogger.warning('trouble')")
    assert [line["event"] for line in lines] == ["trouble"]


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    run(tmp_path, "logger.info('event')")
    assert (tmp_path / "logs").stat().st_mode & 0o077 == 0


def test_several_processes_share_a_file_line_by_line(tmp_path: Path) -> None:
    program = """
import os
for number in range(4):
    if os.fork() == 0:
        for line in range(50):
            logger.info("event", child=number, line=line)
        os._exit(0)
for _ in range(4):
    os.wait()
"""
    lines, _ = run(tmp_path, program)
    assert sorted((line["child"], line["line"]) for line in lines) == [
        (child, line) for child in range(4) for line in range(50)
    ]
