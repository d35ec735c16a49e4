"""The bytes of artifacts: a folder that API and workers share.

Files are named by the artifact's id and never change, so a reader needs no lock. They are complete before
they get their name.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from worker.ledger.ids import new_id

Apart = Callable[..., Any]  # runs a function with its arguments where it may block

_UNFINISHED = ".part"  # suffix of a file that is being written


def here(function: Callable[..., Any], *words: Any) -> Any:
    """Run it in the thread that asks: the `Apart` of a process that may block."""
    return function(*words)


class Writer:
    """A file being written; it counts and digests what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append bytes."""
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    @property
    def sha256(self) -> str:
        """The digest so far, hexadecimal."""
        return self._digest.hexdigest()


class Storage:
    """A folder of artifacts.

    Args:
        root: the folder.
        sync: brings a file to the disk; something else where blocking is not allowed.
    """

    def __init__(self, root: Path, sync: Callable[[int], None] = os.fsync) -> None:
        self._root = root
        self._sync = sync

    @contextlib.contextmanager
    def create(self) -> Iterator[tuple[UUID, Writer]]:
        """Store a new file: it exists once the block ends, and leaves nothing where it raises."""
        artifact_id = new_id()
        path = self._path(artifact_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_suffix(_UNFINISHED)
        try:
            with unfinished.open("xb") as file:
                yield artifact_id, Writer(file)
                file.flush()
                self._sync(file.fileno())
            unfinished.rename(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def open(self, artifact_id: UUID) -> BinaryIO:
        """Read a stored file.

        Raises:
            FileNotFoundError: there is none of this id.
        """
        return self._path(artifact_id).open("rb")

    def delete(self, artifact_id: UUID) -> None:
        """Remove a file; no error where it is gone already."""
        path = self._path(artifact_id)
        path.unlink(missing_ok=True)
        path.with_suffix(_UNFINISHED).unlink(missing_ok=True)

    def older_than(self, age: float) -> Iterator[UUID]:
        """The ids of files written more than `age` seconds ago: strays are looked for among them."""
        limit = time.time() - age
        for path in self._root.glob("*/*"):
            with contextlib.suppress(ValueError, FileNotFoundError):
                if path.stat().st_mtime < limit:
                    yield UUID(path.stem)

    def _path(self, artifact_id: UUID) -> Path:
        # The last digits are random; the first ones are the time, and would put a day into one folder.
        return self._root / artifact_id.hex[-2:] / artifact_id.hex
