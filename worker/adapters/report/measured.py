"""A file that is being written, with its size and digest."""

import hashlib
from typing import BinaryIO


class Measured:
    """Counts and digests what passes on its way into a file."""

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
