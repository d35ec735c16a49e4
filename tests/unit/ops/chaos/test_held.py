"""Processes that come back when they die, which nobody but their keeper sees."""

import os
import sys
from pathlib import Path

from ops.chaos.held import Kept
from ops.embedded.home import Home
from ops.embedded.program import Command
from tests.awaiting import eventually


def kept(tmp_path: Path, script: str) -> Kept:
    home = Home(tmp_path / "home")
    home.create(os.getgid())
    return Kept("it", home, Command((sys.executable, "-c", script), {}), grace=5.0)


def test_an_end_that_nobody_asked_for_is_noted(tmp_path: Path) -> None:
    process = kept(tmp_path, "raise SystemExit(3)")
    try:
        first = process.pid
        died = eventually(lambda: process.deaths)[0]
    finally:
        process.stop()
    assert (died.name, died.pid, died.exit_status) == ("it", first, 3)


def test_an_end_that_was_asked_for_is_no_death(tmp_path: Path) -> None:
    process = kept(tmp_path, "import time; time.sleep(60)")
    process.stop()
    assert process.deaths == []
