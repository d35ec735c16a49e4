"""The code of now and the one before the newest migration, each with its own processes on shared servers."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from ops.chaos.api import Api
from ops.chaos.held import Kept
from ops.embedded.home import Home
from ops.embedded.ports import free_ports
from ops.embedded.program import Command
from tests.faults.bystander import Bystander
from worker.settings import PREFIX

ROOT = Path(__file__).resolve().parents[2]

_MIGRATIONS = Path("worker/ledger/migrations/versions")
_GRACE = 40.0  # seconds
_CONNECTIONS = 8


class Version:
    """A tree of code, whose processes the tests start.

    Args:
        tree: the code.
        folder: a HOME for each version.
        servers: the settings that name the servers, which versions share.
    """

    def __init__(self, tree: Path, folder: Path, servers: Mapping[str, str]) -> None:
        self._tree = tree
        self._home = Home(folder)
        self._home.create(os.getgid())
        self._servers = servers
        self._port, flower = free_ports(2)
        self._stack = ExitStack()
        self._roles: dict[str, Kept] = {}
        self._own = {"HOME": str(folder), "API_PORT": str(self._port), "FLOWER_PORT": str(flower)}

    def migrate(self, key: Path) -> str:
        """Bring the ledger to the schema of this version, and see to a client's key; what it says."""
        command = self._command("migrate", "--first-key", str(key))
        done = subprocess.run(
            command.argv, env=command.env, cwd=command.cwd, check=True, capture_output=True, text=True
        )
        return done.stdout

    def start(self, *roles: str) -> None:
        """Start roles, each written as on the command line."""
        for role in roles:
            name = role.replace(" ", "-")
            self._roles[role] = Kept(name, self._home, self._command(*role.split()), _GRACE)

    def stop(self, *roles: str) -> None:
        """End roles in good order, or all."""
        for role in roles or tuple(self._roles):
            self._roles.pop(role).stop()

    @contextmanager
    def client(self, key: Path, runs: Path) -> Iterator[Bystander]:
        """Whoever uses the API of this version."""
        with closing(Api(self._port, key.read_text().strip(), _CONNECTIONS)) as api:
            yield Bystander(api, runs)

    def _command(self, *words: str) -> Command:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        given = {PREFIX + name: value for name, value in {**self._servers, **self._own}.items()}
        env = kept | given | {"PYTHONPATH": str(self._tree)}  # before what the environment has installed
        return Command((sys.executable, "-m", "ops", *words), env, cwd=str(self._tree))


def before_newest_migration(place: Path) -> Path:
    """The tree as it was before the newest migration came; a clone without that history skips the test."""
    newest = max((ROOT / _MIGRATIONS).glob("v*.py")).relative_to(ROOT)
    added = _git("log", "--max-count=1", "--diff-filter=A", "--format=%H", "--", str(newest)).decode().strip()
    commit = f"{added}^" if added else "HEAD"  # not committed yet: the version before is what is
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commit)), mode="r:") as archive:
        archive.extractall(place, filter="data")
    return place


def _git(*words: str) -> bytes:
    try:
        done = subprocess.run(("git", "-C", str(ROOT), *words), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode().strip() or error
        pytest.skip(f"the code before the newest migration is not here (a clone needs its history): {said}")
    return done.stdout
