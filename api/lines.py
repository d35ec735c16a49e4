"""NDJSON: a batch that comes as one job a line, and the lines of what is wrong with it, counted from 1."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
from msgspec.structs import replace

from api.bodies import malformed
from api.counting import MOST_JOBS
from api.errors import FieldError, Problem

# Thirty megabytes of empty ones would take ten times as much memory, and seconds.
_MOST_LINES = 10 * MOST_JOBS
_LINES = msgspec.json.Decoder(msgspec.Raw)
_BYTE = re.compile(r"\(byte (\d+)\)$")  # where msgspec found what is no JSON
_PLACE = re.compile(r"jobs\[(\d+)\]")


def jobs_in(body: bytes) -> list[msgspec.Raw]:
    """What stands in the lines that are not empty.

    Raises:
        Problem: 400, it is no JSON.
    """
    try:
        return _LINES.decode_lines(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        found = _BYTE.search(str(error))
        until = int(found[1]) if found else len(body.rstrip())
        line = body.count(b"\n", 0, until) + 1
        raise malformed(f"the body is no NDJSON, in line {line}: {error}") from None
    except RecursionError:
        raise malformed("the body is nested too deeply") from None


@contextmanager
def numbered(body: bytes, jobs: Sequence[msgspec.Raw]) -> Iterator[None]:
    """Tell of jobs that cannot be accepted in which lines they stand.

    Args:
        body: as it came.
        jobs: found in it; where they are not one a line, or among very many empty ones, no line is told.
    """
    try:
        yield
    except Problem as problem:
        if "errors" in problem.members and (lines := _lines(body, jobs)):
            problem.members["errors"] = [_numbered(error, lines) for error in problem.members["errors"]]
        raise


def _lines(body: bytes, jobs: Sequence[msgspec.Raw]) -> list[int]:
    if body.count(b"\n") > _MOST_LINES:
        return []
    lines = {number: line for number, line in enumerate(map(bytes.strip, body.split(b"\n")), 1) if line}
    return list(lines) if list(lines.values()) == list(map(bytes, jobs)) else []


def _numbered(error: FieldError, lines: list[int]) -> FieldError:
    place = _PLACE.match(error.field)
    return replace(error, line=lines[int(place[1])]) if place else error
