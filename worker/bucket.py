"""The bytes of artifacts in an object store that speaks S3: the same as a folder, for more than one machine.

Names are the folder's, so that one can be copied into the other. A file is written to the local disk first
and sent when it is whole: an object exists altogether or not at all, and one that is not finished costs the
store nothing.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit
from uuid import UUID

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import S3Store

from worker.ledger.ids import new_id
from worker.settings import Settings
from worker.storage import Apart, Storage, Writer, here

_PATIENCE = timedelta(seconds=30)  # of one request
_CONNECTING = timedelta(seconds=5)
_TRIES = 3
_BUFFER = 1024 * 1024  # bytes of one reading request


def store_of(settings: Settings) -> S3Store:
    """The bucket of `storage_url`; nothing is sent yet."""
    url = urlsplit(settings.storage_url or "")
    given = {
        "access_key_id": settings.storage_key,
        "secret_access_key": settings.storage_secret,
        "endpoint": settings.storage_endpoint,
    }
    return S3Store(
        url.netloc,
        prefix=url.path.strip("/") or None,
        config=cast("Any", {name: value for name, value in given.items() if value is not None}),
        region=settings.storage_region,
        client_options={
            "timeout": _PATIENCE,
            "connect_timeout": _CONNECTING,
            "allow_http": (settings.storage_endpoint or "").startswith("http:"),
        },
        retry_config={"max_retries": _TRIES, "retry_timeout": _PATIENCE},
    )


class Bucket(Storage):
    """A bucket of artifacts.

    Args:
        store: the bucket, and a prefix in it.
        desk: a local folder for what is being written.
        apart: runs what blocks.
    """

    def __init__(self, store: S3Store, desk: Path, apart: Apart = here) -> None:
        self._store = store
        self._desk = desk
        self._apart = apart

    @contextmanager
    def create(self) -> Iterator[tuple[UUID, Writer]]:
        """Store a new file: it exists once the block ends, and leaves nothing where it raises.

        Raises:
            OSError: the object store did not take it.
        """
        artifact_id = new_id()
        self._desk.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=self._desk) as file:
            yield artifact_id, Writer(cast("BinaryIO", file))
            file.seek(0)
            self._call(obstore.put, self._store, _name(artifact_id), file)

    def open(self, artifact_id: UUID) -> BinaryIO:
        """Read a stored file.

        Raises:
            FileNotFoundError: there is none of this id.
            OSError: the object store did not answer; reading raises it too.
        """
        size = self._call(obstore.head, self._store, _name(artifact_id))["size"]
        return cast("BinaryIO", io.BufferedReader(_Object(self._part(_name(artifact_id)), size), _BUFFER))

    def delete(self, artifact_id: UUID) -> None:
        """Remove a file; no error where it is gone already."""
        with suppress(FileNotFoundError):
            self._call(obstore.delete, self._store, _name(artifact_id))

    def older_than(self, age: float) -> Iterator[UUID]:
        """The ids of files written more than `age` seconds ago: strays are looked for among them."""
        limit = datetime.now(UTC) - timedelta(seconds=age)
        pages = iter(obstore.list(self._store))
        while page := self._call(next, pages, None):
            for found in page:
                with suppress(ValueError):
                    if found["last_modified"] < limit:
                        yield UUID(found["path"].rpartition("/")[2])

    def _part(self, name: str) -> Callable[[int, int], bytes]:
        return lambda start, end: bytes(
            self._call(lambda: obstore.get_range(self._store, name, start=start, end=end))
        )

    def _call(self, function: Callable[..., Any], *words: Any) -> Any:
        try:
            return self._apart(function, *words)
        except (NotFoundError, FileNotFoundError):
            raise FileNotFoundError("no such object") from None
        except BaseError as error:  # its text has requests in it, and whole answers
            raise OSError(f"the object store failed: {type(error).__name__}") from error


class _Object(io.RawIOBase):
    """A stored object as a file; each read is a request."""

    def __init__(self, part: Callable[[int, int], bytes], size: int) -> None:
        self._part = part
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._size)
        if end <= self._at:
            return 0
        data = self._part(self._at, end)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _name(artifact_id: UUID) -> str:
    return f"{artifact_id.hex[-2:]}/{artifact_id.hex}"
