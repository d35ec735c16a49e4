"""The physical lines of a file that comes in pieces."""

from collections.abc import Iterable, Iterator

from worker.adapters.sql.loading.rejections import Refused

LARGEST_RECORD = 8 * 1024 * 1024  # bytes; what bounds the memory that a hostile file takes
_BOM = b"\xef\xbb\xbf"


def physical_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines with their ends, as RFC 4180 and NDJSON mean them; a byte order mark is left out.

    Raises:
        Refused: a line is larger than `LARGEST_RECORD`.
    """
    lines = _split(pieces)
    for first in lines:
        yield first.removeprefix(_BOM)
        break
    yield from lines


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    number, rest = 1, b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
        number += len(whole)
        if len(rest) > LARGEST_RECORD:
            raise too_large(number)
    if rest:
        yield rest


def too_large(line: int) -> Refused:
    """Why a record is not read to its end."""
    return Refused(f"the record of line {line} is larger than {LARGEST_RECORD} bytes")
