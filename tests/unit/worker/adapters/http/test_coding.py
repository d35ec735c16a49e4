"""Undoing content codings."""

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.adapters.http.coding import PIECE, decoded
from worker.contract import Fatal, Retryable

PAGE = bytes(range(256)) * 2000


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def bare(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("size", [2, 3, 1000, 10**7])
@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(PAGE)),
        ("X-GZip", gzip.compress(PAGE)),
        ("gzip", gzip.compress(PAGE[:1000]) + gzip.compress(b"") + gzip.compress(PAGE[1000:])),
        ("gzip", gzip.compress(PAGE) + bytes(10)),
        ("deflate", zlib.compress(PAGE)),
        ("deflate", bare(PAGE)),
        ("deflate", zlib.compress(PAGE) + b"garbage"),
        ("identity", PAGE),
        ("", PAGE),
        ("br", PAGE),
        ("gzip, gzip", PAGE),
    ],
)
def test_what_was_asked_for_is_undone_and_anything_else_left(coding: str, data: bytes, size: int) -> None:
    output = list(decoded(pieces(data, size), coding))
    assert b"".join(output) == PAGE
    assert max(map(len, output)) <= max(PIECE, size)


@pytest.mark.parametrize("coding", ["gzip", "deflate", ""])
def test_an_empty_body_stays_empty(coding: str) -> None:
    assert list(decoded(iter(()), coding)) == []


@pytest.mark.parametrize(
    ("coding", "data"),
    [("gzip", gzip.compress(PAGE)), ("deflate", zlib.compress(PAGE)), ("deflate", bare(PAGE))],
)
@pytest.mark.parametrize("cut", [1, 100])
def test_a_truncated_body_is_retried(coding: str, data: bytes, cut: int) -> None:
    with pytest.raises(Retryable, match="ends in the middle"):
        list(decoded(pieces(data[:-cut]), coding))


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_in_another_coding_is_fatal(coding: str) -> None:
    with pytest.raises(Fatal, match=f"not in the content coding {coding}"):
        list(decoded(iter([b"<html>plain</html>"]), coding))


def test_a_bomb_is_unpacked_only_as_far_as_it_is_read() -> None:
    read: list[int] = []

    def watched() -> Iterator[bytes]:
        for piece in pieces(gzip.compress(bytes(10**8))):
            read.append(len(piece))
            yield piece

    output = decoded(watched(), "gzip")
    assert len(next(output)) == PIECE
    assert len(read) == 1


@settings(deadline=None)
@given(st.binary(max_size=3 * PIECE), st.integers(2, 2 * PIECE), st.sampled_from(["gzip", "deflate"]))
def test_any_body_survives_any_cut(data: bytes, size: int, coding: str) -> None:
    packed = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    assert b"".join(decoded(pieces(packed, size), coding)) == data


@settings(deadline=None)
@given(st.binary(), st.sampled_from(["gzip", "deflate"]))
def test_no_garbage_fails_in_another_way(data: bytes, coding: str) -> None:
    try:
        list(decoded(pieces(data, 16), coding))
    except (Fatal, Retryable):
        return
