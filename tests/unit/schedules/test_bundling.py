"""Which jobs of a backlog travel together."""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from schedules.bundling import SIZE, bundled, fair_size
from worker.contract.queues import EMAIL, REPORT, WEB, Queue
from worker.contract.states import Priority
from worker.ledger.ids import new_id
from worker.ledger.records import Bundle, Message

SHORT = ("brief.one", "brief.two")


def message(**different: Any) -> Message:
    usual = Message(
        job_id=new_id(),
        kind="brief.one",
        queue="email",
        priority=Priority.NORMAL,
        description="",
        request_id=None,
        alone=False,
    )
    return msgspec.structs.replace(usual, **different)


def ids(carriers: Sequence[Message | Bundle]) -> list[list[UUID]]:
    """What each carries."""
    return [
        [carrier.job_id] if isinstance(carrier, Message) else [each.job_id for each in carrier.messages]
        for carrier in carriers
    ]


@pytest.mark.parametrize(
    ("queue", "jobs", "workers", "size"),
    [
        pytest.param(REPORT, 500, 1, SIZE, id="a long backlog"),
        pytest.param(REPORT, 20, 1, 10, id="a short one is shared out to the two processes"),
        pytest.param(REPORT, 20, 5, 2, id="and to those of five workers"),
        pytest.param(REPORT, 3, 1, 1, id="too little to bundle"),
        pytest.param(REPORT, 20, 0, 10, id="a worker may come"),
        pytest.param(EMAIL, 480, 1, 20, id="what it fetches ahead counts: eight slots and twice as many"),
        pytest.param(WEB, 500, 1, 0, id="hundreds at once need no bundles"),
    ],
)
def test_each_worker_gets_as_much_as_it_can_take(queue: Queue, jobs: int, workers: int, size: int) -> None:
    assert fair_size(jobs, queue, workers) == size


def test_jobs_of_a_short_kind_travel_together() -> None:
    jobs = [message() for _ in range(7)]
    carriers = bundled(jobs, SHORT, 3)
    assert [type(carrier) for carrier in carriers] == [Bundle, Bundle, Message]
    assert list(itertools.chain(*ids(carriers))) == [job.job_id for job in jobs]
    assert len({carrier.id for carrier in carriers if isinstance(carrier, Bundle)}) == 2


def test_jobs_of_other_kinds_and_priorities_do_not() -> None:
    jobs = [
        urgent := message(priority=Priority.HIGH),
        first := message(),
        other := message(kind="brief.two"),
        second := message(),
        long := message(kind="report.render"),
        another := message(kind="brief.two"),
    ]
    assert ids(bundled(jobs, SHORT, 10)) == [
        [urgent.job_id],
        [first.job_id, second.job_id],
        [other.job_id, another.job_id],
        [long.job_id],
    ]


@pytest.mark.parametrize("mark", ["suspect", "alone"])
def test_a_job_under_which_a_process_died_shares_no_bundle(mark: str) -> None:
    jobs = [message(), message(**{mark: True}), message()]
    assert ids(bundled(jobs, SHORT, 10)) == [[jobs[0].job_id, jobs[2].job_id], [jobs[1].job_id]]


@pytest.mark.parametrize("size", [0, 1])
def test_without_a_backlog_every_job_has_its_message(size: int) -> None:
    jobs = [message() for _ in range(3)]
    assert bundled(jobs, SHORT, size) == jobs
