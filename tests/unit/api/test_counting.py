"""A batch of far too many jobs is refused before it takes memory."""

import tracemalloc

import pytest

from api.counting import MOST_BESIDE, MOST_JOBS, require_few
from api.errors import Problem
from worker.enqueue import Refused

JOB = b'{"kind": "test.idle", "payload": {"a": [1, {"b": "]"}]}}'


def body(job: bytes, count: int, *, lines: bool) -> bytes:
    return b"\n".join([job] * count) if lines else b'{"jobs": [' + b",".join([job] * count) + b"]}"


@pytest.mark.parametrize("lines", [False, True])
def test_as_many_as_a_batch_may_have_pass(*, lines: bool) -> None:
    require_few(body(JOB, MOST_JOBS, lines=lines), lines=lines)
    with pytest.raises(Problem, match="422") as problem:
        require_few(body(JOB, MOST_JOBS + 1, lines=lines), lines=lines)
    assert problem.value.description == "jobs: are more than 10000; a batch has 1 to 10000"


@pytest.mark.parametrize("lines", [False, True])
@pytest.mark.parametrize("job", [b"0", b"{}", b"[]", b'{"kind":""}', b'""'])
def test_a_refusal_takes_no_memory(job: bytes, *, lines: bool) -> None:
    sent = body(job, 1_000_000, lines=lines)
    tracemalloc.start()
    try:
        with pytest.raises((Problem, Refused)):
            require_few(sent, lines=lines)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b'{"jobs": [' + b"{}," * 1_000_000, id="which ends in its middle"),
        pytest.param(b'{"jobs": [' + b"0," * 1_000_000, id="of jobs that are none"),
        pytest.param(b'{"jobs": [' + b"{}," * 1_000_000 + b"[" * 10_000, id="which is deep in the end"),
        pytest.param(b'{"jobs": [' + b"{}," * 1_000_000 + b"{}]}}", id="with something behind it"),
        pytest.param(b"{" * 300_000, id="which only begins"),
        pytest.param(b"\xff" * 300_000, id="that is no text"),
    ],
)
def test_a_batch_that_is_no_json_takes_no_memory_until_that_shows(sent: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="400") as problem:
            require_few(sent, lines=False)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert problem.value.type == "urn:jobyard:malformed-json"


def test_a_job_that_is_none_is_told_in_a_batch_with_few() -> None:
    with pytest.raises(Refused, match=r"^jobs\[0\]: Expected `object`"):
        require_few(b'{"jobs": [5' + b" " * 300_000 + b"]}", lines=False)


@pytest.mark.parametrize(
    "beside",
    [
        b'"tags": [' + b",".join([b'"a"'] * 1_000_000) + b"]",
        b",".join([b'"tags": ["a"]'] * 100_000),
        b'"tags": [' + b",".join([b'"a"'] * 1_000_000) + b'], "tags": []',
        b'"jobs": [' + b",".join([b"{}"] * 1_000_000) + b"]",
    ],
    ids=["many tags", "tags again and again", "many tags, then none", "another list of jobs"],
)
def test_what_stands_beside_the_jobs_takes_no_memory(beside: bytes) -> None:
    sent = b"{" + beside + b', "jobs": [{}]}'
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="422") as problem:
            require_few(sent, lines=False)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    beside_it = len(sent) - len(b"[{}]")
    assert problem.value.description == (
        f"body: has {beside_it} bytes beside the list of its jobs; a batch may have {MOST_BESIDE}"
    )


@pytest.mark.parametrize("sent", [b"[%s]", b'"%s"'])
def test_what_is_no_object_is_left_to_those_who_say_where_it_belongs(sent: bytes) -> None:
    require_few(sent % (b" " * 300_000), lines=False)


def test_one_job_that_is_none_is_named_by_its_place() -> None:
    jobs = [b"{}"] * 200_000
    jobs[3] = b"0"
    with pytest.raises(Refused, match=r"^jobs\[3\]: Expected `object`"):
        require_few(b'{"jobs": [' + b",".join(jobs) + b"]}", lines=False)
    with pytest.raises(Refused, match=r"^jobs\[3\]: Expected `object`"):
        require_few(b"\n".join(jobs), lines=True)
