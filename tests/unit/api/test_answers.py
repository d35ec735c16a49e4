from datetime import UTC, datetime, timedelta
from uuid import UUID

import falcon
import pytest
from falcon.testing import create_req

from api.answers import answer, answer_job, revalidate
from api.representations import Job
from worker.contract.states import FINAL, Priority, State
from worker.ledger.clients import Client
from worker.ledger.ids import new_id


def job(state: State, due_in: float | None = None) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=new_id(),
        kind="test.greet",
        queue="email",
        state=state,
        priority=Priority.NORMAL,
        attempt=0,
        max_attempts=1,
        created_at=now,
        due_at=None if due_in is None else now + timedelta(seconds=due_in),
        tags=[],
        links={},
        payload={},
    )


@pytest.mark.parametrize(
    ("state", "due_in", "seconds"),
    [
        (State.QUEUED, None, "1"),
        (State.RUNNING, None, "1"),
        (State.RETRYING, 40, "40"),
        (State.RETRYING, 7200, "60"),
        (State.SCHEDULED, None, "1"),
        (State.SCHEDULED, 20.9, "21"),
        (State.SCHEDULED, 1e6, "60"),
        (State.SCHEDULED, -5, "1"),
        *((state, None, None) for state in sorted(FINAL)),
    ],
)
def test_an_unfinished_job_says_when_to_ask_again(
    state: State, due_in: float | None, seconds: str | None
) -> None:
    req, resp = create_req(), falcon.Response()
    req.context.client = Client(UUID(int=1), "ada")
    answer_job(req, resp, 200, job(state, due_in))
    assert resp.get_header("Retry-After") == seconds


def test_an_answer_ends_its_line() -> None:
    resp = falcon.Response()
    answer(resp, 200, {"a": 1})
    assert resp.data == b'{"a":1}\n'


def test_an_answer_that_the_client_has_is_left_out_with_its_type() -> None:
    first = falcon.Response()
    answer(first, 200, {"a": 1})
    revalidate(create_req(), first)
    assert first.status == 200
    for known in (first.etag, "*", f'"x", W/{first.etag}'):
        again = falcon.Response()
        answer(again, 200, {"a": 1})
        revalidate(create_req(headers={"If-None-Match": str(known)}), again)
        assert (again.status, again.data, again.get_header("Content-Type")) == (304, None, None)
    changed = falcon.Response()
    answer(changed, 200, {"a": 2})
    revalidate(create_req(headers={"If-None-Match": str(first.etag)}), changed)
    assert changed.status == 200
