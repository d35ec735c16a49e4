"""A whole platform as users start it, `jobyard up`, in a folder of its own."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ops.bench.course import Invalid
from ops.bench.ground import KINDS
from ops.bench.process import Process
from ops.embedded.account import server_account
from ops.embedded.home import Home
from ops.supervisor import ProcessState, Status, read_status
from worker.settings import PREFIX, Settings

_START = 180.0  # seconds, the first time included
_LOOK = 0.02  # seconds between two looks


class Platform(msgspec.Struct, frozen=True):
    """A platform that runs."""

    home: Path
    process: Process  # the supervisor
    status: Status
    ready: float  # seconds from its start until all of it ran

    @property
    def key(self) -> str:
        """The API key of its first client."""
        return Path(self.status.key_file).read_text().strip()


@contextmanager
def platform(folder: Path, **settings: str) -> Iterator[Platform]:
    """A platform in `folder`/home; the second time it finds its servers' data there.

    Raises:
        Invalid: it does not come up.
    """
    home = folder / "home"
    Home(home).create(server_account(Settings().server_user).gid)
    given = {"home": str(home), "kinds": KINDS, "api_port": "0", "flower_port": "0"} | settings
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    environ = kept | {PREFIX + name.upper(): value for name, value in given.items()}
    log = home / "logs" / "up.log"
    began = time.perf_counter()
    process = Process.start((sys.executable, "-m", "ops", "up"), environ, log)
    try:
        process.wait(lambda: _all_run(home), _START, _LOOK)
        yield Platform(home, process, _status(home), time.perf_counter() - began)
    finally:
        process.stop()


def _all_run(home: Path) -> bool:
    record = read_status(home)
    return record is not None and all(
        each.state in {ProcessState.RUNNING, ProcessState.STOPPED} for each in record.status.processes
    )


def _status(home: Path) -> Status:
    record = read_status(home)
    if record is None:
        raise Invalid("the platform went away")
    return record.status
