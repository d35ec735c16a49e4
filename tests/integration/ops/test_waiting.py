"""A ledger of one's own that is not there yet when the platform starts."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from ops.chaos.proxy import Proxy
from tests.awaiting import eventually


class Command:
    """A command under way."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def said(self) -> str:
        return self._output.read_text()

    def end(self) -> int:
        """Its exit status; where it goes on, what it does instead is said."""
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait(10)
            raise AssertionError(self.said) from None


@pytest.fixture
def wire(database_url: str) -> Iterator[Proxy]:
    with Proxy(make_url(database_url).port or 0) as proxy:
        yield proxy


@pytest.fixture
def url(wire: Proxy, database_url: str) -> str:
    return make_url(database_url).set(port=wire.port).render_as_string(hide_password=False)


@contextmanager
def jobyard(url: str, home: Path, *words: str) -> Iterator[Command]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("JOBYARD_")}
    environ |= {"PYTHONFAULTHANDLER": "1", "JOBYARD_HOME": str(home / "home"), "JOBYARD_DATABASE_URL": url}
    output = home / "said"
    with output.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", *words], env=environ, stdout=said, stderr=said
        )
    try:
        yield Command(process, output)
    finally:
        process.kill()
        process.wait()


def test_migrate_waits_for_it_and_says_so_once(wire: Proxy, url: str, tmp_path: Path) -> None:
    wire.cut()
    with jobyard(url, tmp_path, "migrate", "--wait", "60") as migrate:
        eventually(lambda: "waiting for the ledger: " in migrate.said)
        with pytest.raises(subprocess.TimeoutExpired):
            migrate.process.wait(2.5)  # some tries later
        wire.restore()

        assert migrate.end() == 0

    assert migrate.said.count("waiting") == 1
    assert "ledger at version" in migrate.said


def test_migrate_waits_no_longer_than_it_was_told(wire: Proxy, url: str, tmp_path: Path) -> None:
    wire.cut()
    with jobyard(url, tmp_path, "migrate", "--wait", "1") as migrate:
        assert migrate.end() == 1
    assert "Error: the ledger does not answer: " in migrate.said
    assert "Traceback" not in migrate.said


def test_up_waits_until_it_is_interrupted(wire: Proxy, url: str, tmp_path: Path) -> None:
    wire.cut()
    with jobyard(url, tmp_path, "up") as up:
        eventually(lambda: "waiting for the ledger: " in up.said)
        up.process.send_signal(signal.SIGINT)

        assert up.end() == 130

    assert "Traceback" not in up.said


def test_nobody_waits_for_a_password_to_become_right(url: str, tmp_path: Path) -> None:
    wrong = make_url(url).set(password="wrong").render_as_string(hide_password=False)
    with jobyard(wrong, tmp_path, "up") as up:
        assert up.end() == 1
    assert "password authentication failed" in up.said
    assert "waiting" not in up.said
