"""Lists of batches: by tag, by time, unfinished or not."""

import time
from datetime import UTC, datetime

import pytest

from tests.integration.api.conftest import NewCaller, Settle
from tests.integration.api.fakes import Caller
from tests.integration.api.test_batches import accepted
from worker.contract import Scopes
from worker.ledger import jobs


def listed(caller: Caller, **wanted: object) -> list[str]:
    """The ids of all that fit, over as many pages as it takes."""
    found: list[str] = []
    token = None
    while True:
        more = {"page_token": token} if token else {}
        page = caller.call("GET", "/v1/batches", params=wanted | more).json
        found += [batch["id"] for batch in page["batches"]]
        token = page["next_page_token"]
        if token is None:
            return found


def test_a_batch_is_shown_with_what_leads_on_from_it(caller: Caller) -> None:
    batch = accepted(caller, tags=["nightly"])
    (shown,) = caller.get("/v1/batches").json["batches"]
    assert shown == {
        "id": batch["id"],
        "size": 2,
        "tags": ["nightly"],
        "created_at": batch["created_at"],
        "finished_at": None,
        "client": None,
        "links": {"self": f"/v1/batches/{batch['id']}", "jobs": f"/v1/jobs?batch={batch['id']}"},
    }
    assert caller.call("HEAD", "/v1/batches").status_code == 200


def test_batches_are_found_by_tag_and_by_time(caller: Caller) -> None:
    first = accepted(caller, tags=["a", "b"])["id"]
    time.sleep(0.005)  # an id's time is exact to the millisecond
    between = datetime.now(UTC).isoformat()
    time.sleep(0.005)
    second = accepted(caller, tags=["b"])["id"]
    assert listed(caller) == listed(caller, tag="b") == [second, first]
    assert (listed(caller, tag="a"), listed(caller, tag="c")) == ([first], [])
    assert listed(caller, created_before=between) == [first]
    assert listed(caller, created_after=between, tag="b") == [second]


def test_those_that_are_not_finished_are_told_from_the_others(caller: Caller, settle: Settle) -> None:
    over, running = accepted(caller)["id"], accepted(caller)["id"]
    caller.post(f"/v1/batches/{over}/cancel")
    settle()
    assert listed(caller, state="unfinished") == [running]
    assert listed(caller, state="finished") == [over]
    (shown,) = caller.get("/v1/batches?state=finished").json["batches"]
    assert shown["finished_at"] is not None


def test_pages_stay_right_while_batches_arrive(caller: Caller) -> None:
    made = [accepted(caller)["id"] for _ in range(5)]
    page = caller.get("/v1/batches?page_size=2").json
    accepted(caller)
    rest = listed(caller, page_token=page["next_page_token"], page_size=2)
    assert [batch["id"] for batch in page["batches"]] + rest == made[::-1]


def test_a_rare_batch_is_found_however_many_others_there_are(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LOOK", 3)
    rare = accepted(caller, tags=["rare"])["id"]
    for _ in range(7):
        accepted(caller)
    assert listed(caller, tag="rare") == [rare]


def test_an_operator_sees_those_of_others_and_nobody_else_does(caller: Caller, new_caller: NewCaller) -> None:
    batch, name = accepted(caller)["id"], caller.client.name
    operator = new_caller(scopes=Scopes.of(["operate"]))
    (shown,) = operator.get(f"/v1/batches?client={name}").json["batches"]
    assert (shown["id"], shown["client"]) == (batch, name)
    assert batch in listed(operator, client="*", state="unfinished")
    assert listed(operator) == listed(new_caller()) == []
    assert new_caller().get(f"/v1/batches?client={name}").status_code == 403


@pytest.mark.parametrize(
    "words", ["state=running", "page_size=0", "page_token=x", "tagg=a", "created_after=7"], ids=str
)
def test_a_query_that_makes_no_sense_is_refused(caller: Caller, words: str) -> None:
    answer = caller.get(f"/v1/batches?{words}")
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] == words.partition("=")[0]
