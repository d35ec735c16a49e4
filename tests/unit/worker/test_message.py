"""The message, as it is written and as it is read."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.unit.schedules.test_bundling import message
from worker.ledger.records import Bundle
from worker.message import BUNDLE, Named, headers, jobs_in


def test_a_bundle_names_its_jobs_and_none_of_their_payloads() -> None:
    jobs = (message(description="one"), message(description="two"))
    written = headers(Bundle(id=uuid4(), messages=jobs))
    assert (written["task"], written["kind"], written["argsrepr"]) == (BUNDLE, "brief.one", "2 jobs")
    assert jobs_in(written) == [Named(job.job_id, job.description) for job in jobs]
    assert UUID(written["id"]) not in {job.job_id for job in jobs}


def test_a_job_alone_is_named_by_the_message_s_id() -> None:
    job = message()
    assert jobs_in(headers(job)) == [Named(job.job_id)]


def test_a_job_that_is_named_twice_is_one() -> None:
    job_id = str(uuid4())
    assert jobs_in({"jobs": [[job_id, ""], [job_id.upper(), ""]]}) == [Named(UUID(job_id))]


@pytest.mark.parametrize(
    "garbage",
    [
        {},
        {"id": None},
        {"id": "no id"},
        {"id": str(uuid4()), "jobs": 7},
        {"id": str(uuid4()), "jobs": []},
        {"jobs": "jobs"},
        {"jobs": [str(uuid4())]},
        {"jobs": [[str(uuid4()), 7]]},
        {"jobs": [[str(uuid4()), ""], ["no id", ""]]},
        {"jobs": {"a": "b"}},
    ],
)
def test_garbage_names_no_job(garbage: dict[str, Any]) -> None:
    assert jobs_in(garbage) == []
