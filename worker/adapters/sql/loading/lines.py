"""The physical lines of a file that comes in pieces."""

import io
from collections.abc import Iterable, Iterator

from worker.adapters.sql.loading.rejections import Refused

LARGEST_RECORD = 8 * 1024 * 1024  # bytes; what bounds the memory that a hostile file takes
_BOM = b"\xef\xbb\xbf"


class PhysicalLines:
    """The lines with their ends, as RFC 4180 and NDJSON mean them; a byte order mark is left out.

    They can be had one by one and many at once, in turns: each is had once.

    Raises:
        Refused: a line is larger than `LARGEST_RECORD`.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._parts = _whole(pieces)
        self._part = io.BytesIO(next(self._parts, b"").removeprefix(_BOM))

    def __iter__(self) -> Iterator[bytes]:
        """One by one."""
        going = True
        while going:
            yield from iter(self._part.readline, b"")
            going = self._go_on()

    def some(self, size: int) -> bytes:
        """Lines of so many bytes together, the last of them whole; fewer at the end of the file."""
        taken = b""
        while len(taken) < size:
            if more := self._part.read(size - len(taken)):
                taken += more + self._part.readline()
            elif not self._go_on():
                break
        return taken

    def _go_on(self) -> bool:
        part = next(self._parts, b"")
        self._part = io.BytesIO(part)
        return bool(part)


def _whole(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, each cut where its last line ends."""
    number, rest = 1, b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            number += piece.count(b"\n")
            rest = piece[end:]
        else:
            rest += piece
        if len(rest) > LARGEST_RECORD:
            raise too_large(number)
    if rest:
        yield rest


def too_large(line: int) -> Refused:
    """Why a record is not read to its end."""
    return Refused(f"the record of line {line} is larger than {LARGEST_RECORD} bytes")
