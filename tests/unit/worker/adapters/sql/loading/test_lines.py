"""Physical lines of a file that comes in pieces."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.adapters.sql.loading.lines import LARGEST_RECORD, PhysicalLines
from worker.adapters.sql.loading.rejections import Refused

PIECES = st.lists(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b'"', b"\xff"])).map(b"".join))


@given(PIECES)
def test_lines_are_the_same_however_the_file_is_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    lines = list(PhysicalLines(pieces))
    assert b"".join(lines) == whole
    assert all(line.count(b"\n") == 1 and line.endswith(b"\n") for line in lines[:-1])
    assert len(lines) == whole.count(b"\n") + (not whole.endswith(b"\n") and whole != b"")


@given(PIECES, st.integers(1, 10), st.integers(0, 3))
def test_many_lines_at_once_are_whole_and_the_same(pieces: list[bytes], size: int, before: int) -> None:
    lines = PhysicalLines(pieces)
    single = list(islice(lines, before))
    several = list(iter(lambda: lines.some(size), b""))
    assert b"".join(single + several) == b"".join(pieces)
    assert all(len(some) >= size and some.endswith(b"\n") for some in several[:-1])


def test_a_byte_order_mark_is_left_out_of_the_first_line_alone() -> None:
    pieces = [b"\xef\xbb", b"\xbfa\n", b"\xef\xbb\xbfb\n"]
    assert list(PhysicalLines(pieces)) == [b"a\n", b"\xef\xbb\xbfb\n"]


def test_a_line_without_end_is_refused_and_named() -> None:
    endless = (b"x" * 65536 for _ in range(LARGEST_RECORD))
    lines = iter(PhysicalLines(piece for source in ([b"one\n"], endless) for piece in source))
    assert next(lines) == b"one\n"
    with pytest.raises(Refused, match="the record of line 2 is larger than"):
        next(lines)
