"""A cap on the files that a client keeps uploaded: they take up storage until retention takes them away.

Whether a file was used nobody knows without reading every payload, so all of them count, and a client deletes
those that no job needs any more.
"""

from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import Connection

from api.errors import Problem
from worker.ledger import artifacts
from worker.settings import Settings

# Where only their bytes are capped: counting must cost the same however small the files are.
_MOST_FILES = 100_000

_RETRY_AFTER = "3600"  # seconds: retention takes files away once a day
_DAY = 86400.0


@dataclass(frozen=True, kw_only=True)
class UploadCap:
    """Admits files of clients that do not keep too many.

    Args:
        files: that a client may keep; None: any number.
        size: bytes that these may have together; None: any number.
        retention: seconds after which a file is taken away.
    """

    files: int | None
    size: int | None
    retention: float

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The cap of the settings."""
        return cls(files=settings.uploads, size=settings.upload_bytes, retention=settings.retention)

    @property
    def bounded(self) -> bool:
        """Whether there is a cap at all."""
        return self.files is not None or self.size is not None

    def admit(self, connection: Connection, client_id: UUID, size: int) -> None:
        """Let a file of this many bytes pass, as things stand in this transaction.

        Raises:
            Problem: 429, the client would keep too many; 413, it could never keep one of this size.
        """
        if not self.bounded:
            return
        if self.size is not None and size > self.size:
            raise Problem(413, f"the file has {size} bytes, and a client may keep {self.size} uploaded")
        most = self.files or _MOST_FILES
        kept = artifacts.uploads_of(connection, client_id, most)
        if kept.files >= most:
            raise self._too_many(f"{kept.files} files uploaded, and may keep {most}")
        if self.size is not None and kept.size + size > self.size:
            raise self._too_many(
                f"{kept.size} bytes uploaded and sends {size} more, and may keep {self.size}"
            )

    def _too_many(self, what: str) -> Problem:
        return Problem(
            429,
            f"this client keeps {what}; delete those that no job needs any more"
            " (DELETE /v1/artifacts/{artifact_id}), or wait: a file is taken away"
            f" {self.retention / _DAY:.3g} days after its upload",
            code="too-many-uploads",
            headers={"Retry-After": _RETRY_AFTER},
        )
