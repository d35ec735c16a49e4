"""HOME: the one folder that a platform writes to, and where everything in it stands."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ops.embedded.program import ServerError


@dataclass(frozen=True)
class Home:
    """The data folder of one platform."""

    path: Path  # absolute

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data folder."""
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's data folder and its configuration."""
        return self.path / "valkey"

    @property
    def secrets(self) -> Path:
        """Passwords that were made here, one a file."""
        return self.path / "secrets"

    @property
    def key(self) -> Path:
        """The first client's API key, for the commands of this HOME."""
        return self.path / "key"

    @property
    def lock(self) -> Path:
        """The file whose lock the running platform holds."""
        return self.path / "lock"

    @property
    def status(self) -> Path:
        """What the supervisor says about itself."""
        return self.path / "status.json"

    def log(self, name: str) -> Path:
        """Where the output of the process of that name is kept."""
        return self.path / "logs" / f"{name}.log"

    def metrics(self, name: str) -> Path:
        """Where the children of the process of that name share their metrics."""
        return self.path / "metrics" / name

    def create(self, group: int) -> None:
        """Make the folder where it is missing; what exists keeps its mode and owner.

        Args:
            group: the group of the servers' account. As root it alone may pass through the folder, to
                the data folders that belong to it.

        Raises:
            ServerError: it is another's, or cannot be made.
        """
        if not self.path.exists():
            try:
                self.path.mkdir(parents=True)
            except OSError as error:
                raise ServerError(f"cannot make {self.path}: {error.strerror}; set JOBYARD_HOME") from error
            if os.geteuid() == 0:
                os.chown(self.path, 0, group)
                self.path.chmod(0o710)
            else:
                self.path.chmod(0o700)
        elif not self.path.is_dir():
            raise ServerError(f"{self.path} is no folder: set JOBYARD_HOME to one")
        elif not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise ServerError(
                f"{self.path} belongs to somebody else: start the platform as its owner, or set JOBYARD_HOME"
                " to another folder"
            )
        for folder in (self.secrets, self.path / "logs"):
            folder.mkdir(mode=0o700, exist_ok=True)

    def open_log(self, name: str) -> IO[bytes]:
        """Open a log to append to, readable by its owner only."""
        return open(self.log(name), "ab", buffering=0, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
