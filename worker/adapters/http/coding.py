"""Content codings (RFC 9110, section 8.4.1), undone in pieces of bounded size.

urllib3 has decoders, but they go on inside until they have output, and so past any time limit when
codings are nested; they keep all input of a deflate stream that has no output; and they take a truncated
stream for a whole one.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from worker.contract import Fatal, Retryable

ACCEPTED = "gzip, deflate"
PIECE = 64 * 1024  # bytes of output at a time

GZIP, ZLIB, BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # what zlib calls wbits
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1


def decoded(pieces: Iterator[bytes], coding: str) -> Iterator[bytes]:
    """Undo a content coding; one that was not asked for is left as it is, and so are several at once.

    Raises:
        Fatal: the body is not in that coding.
        Retryable: it ends too early.
    """
    name = coding.strip().lower()
    if name not in {"gzip", "x-gzip", "deflate"}:
        yield from pieces
        return
    first = next(pieces, b"")
    if not first:
        return
    wbits = GZIP if name.endswith("gzip") else _deflate_format(first)
    try:
        yield from _inflated(chain([first], pieces), wbits)
    except zlib.error as error:
        raise Fatal(f"the body is not in the content coding {name} that the server named") from error


def _deflate_format(start: bytes) -> int:
    """Tell zlib's format, method 8 and a checksum of 31 (RFC 1950), from the bare stream that some send."""
    return ZLIB if start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0 else BARE  # noqa: PLR2004


def _inflated(pieces: Iterable[bytes], wbits: int) -> Iterator[bytes]:
    inflater = zlib.decompressobj(wbits)
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                if wbits != GZIP or not rest.startswith(GZIP_MAGIC[: len(rest)]):
                    return  # garbage behind the end, which gzip(1) and browsers ignore too
                inflater = zlib.decompressobj(wbits)  # a further member (RFC 1952, section 2.2)
            yield from _steps(inflater, rest)
            rest = inflater.unused_data
    if not inflater.eof:
        raise Retryable("the body ends in the middle of its content coding")


def _steps(inflater: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        output = inflater.decompress(data, PIECE)
        if output:
            yield output
        if len(output) < PIECE:
            return
        data = inflater.unconsumed_tail  # may be empty while zlib still holds output back
