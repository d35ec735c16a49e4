"""Counting the jobs of a batch before memory is taken for them.

Thirty megabytes of `0,0,0,…` are sixteen million jobs, and as many objects of Python; the same of tags are
checked one by one before their number is. What is counted here is skipped by the decoder and not kept.
"""

import threading
from collections.abc import Callable
from typing import Any

import msgspec

from api.bodies import decode
from api.errors import invalid
from worker.enqueue import Refused, refusal

MOST_JOBS = 10_000
MOST_BESIDE = 256 * 1024  # bytes of a batch that are not its list of jobs

_SMALL = 256 * 1024  # bytes of a body that cannot hold so many that it matters


class _Left(threading.local):
    """How many more jobs a batch may have; a decoder goes through a body without a break."""

    jobs = 0


_left = _Left()


class _TooMany(ValueError):  # noqa: N818 - reads as what it is
    pass


class _Job(msgspec.Struct):
    """Anything that is an object."""

    def __post_init__(self) -> None:
        _left.jobs -= 1
        if _left.jobs < 0:
            raise _TooMany


class _Batch(msgspec.Struct):
    jobs: msgspec.Raw = msgspec.Raw(b"[]")


_BATCH: msgspec.json.Decoder[_Batch] = msgspec.json.Decoder(_Batch)
_JOBS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[_Job])
_LINE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Job)


def require_few(body: bytes, *, lines: bool) -> None:
    """Let a batch pass that has no more jobs than it may and little beside them, in JSON, or line by line.

    A small one always passes: what it holds is for those to say who look at every job.

    Raises:
        Problem: 422, it has more; 400, it is no JSON, which shows after ever so many jobs.
        Refused: one of its jobs is no object.
    """
    if len(body) <= _SMALL:
        return
    try:
        _count(body) if lines else _count_in(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # which the caller finds out too, no later, and says


def _count_in(body: bytes) -> None:
    try:
        jobs = decode(body, _BATCH).jobs
    except Refused:
        return  # it is no object, of which the caller knows more to say
    if (beside := len(body) - memoryview(jobs).nbytes) > MOST_BESIDE:
        problem = f"has {beside} bytes beside the list of its jobs; a batch may have {MOST_BESIDE}"
        raise invalid(422, Refused("", problem))
    _count(jobs, _JOBS.decode)


def _count(
    jobs: bytes | msgspec.Raw, decode: Callable[[bytes | msgspec.Raw], object] = _LINE.decode_lines
) -> None:
    _left.jobs = MOST_JOBS
    try:
        decode(jobs)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, _TooMany):
            raise too_many(f"more than {MOST_JOBS}") from None
        raise refusal(error, list[_Job], "jobs") from None


def too_many(count: object) -> Exception:
    """The problem of a batch with so many jobs."""
    return invalid(422, Refused("jobs", f"are {count}; a batch has 1 to {MOST_JOBS}"))
