"""Lines of NDJSON."""

import time

import pytest

from api.errors import FieldError, Problem
from api.lines import jobs_in, numbered


def lines_told(body: bytes) -> list[int | None]:
    jobs = jobs_in(body)
    with pytest.raises(Problem) as problem, numbered(body, jobs):
        raise Problem(422, "", errors=[FieldError(f"jobs[{place}]", "") for place in range(len(jobs))])
    return [error.line for error in problem.value.members["errors"]]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}\n\n {"b":2} \r\n[3]', [1, 3, 4]),
        (b"1 2\n[\n3]", [None] * 3),
        (b"1 2", [None] * 2),
    ],
)
def test_a_line_is_told_where_each_job_stands_in_one_of_its_own(body: bytes, lines: list[int | None]) -> None:
    assert lines_told(body) == lines


def test_very_many_empty_lines_cost_nothing() -> None:
    started = time.process_time()
    assert lines_told(b"1" + b"\n" * 10_000_000) == [None]
    assert time.process_time() - started < 0.5
