"""Batches that would take too long to check."""

from collections.abc import Sequence
from uuid import uuid4

import msgspec
import pytest

from api import batching
from api.errors import Problem
from worker import catalog
from worker.enqueue import Enqueuer
from worker.ledger.clients import Client

FETCH = {"name": "fetched", "kind": "web.fetch", "payload": {"url": "https://example.com/"}}
TAKEN = {"$from": "fetched", "result": "/url"}


def prepared(jobs: Sequence[object]) -> int:
    """How many jobs are made of these."""
    raw = [msgspec.Raw(msgspec.json.encode(job)) for job in jobs]
    made = batching.prepare(
        raw,
        Enqueuer(catalog.load()),
        Client(uuid4(), "ada"),
        request_id="a-request",
        batch_id=uuid4(),
        largest=1_000_000,
    )
    return len(made.jobs)


def chain(readers: int, references: int) -> list[object]:
    """A job, and some that each take its result so many times."""
    payload = {"report": "sales", "params": {f"p{place}": TAKEN for place in range(references)}}
    return [FETCH, *[{"kind": "report.render", "after": ["fetched"], "payload": payload}] * readers]


def test_a_batch_may_hold_many_references_and_not_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_REFERENCES", 12)
    assert prepared(chain(readers=3, references=4)) == 4
    with pytest.raises(Problem) as refused:
        prepared(chain(readers=4, references=4))
    assert refused.value.status_code == 422
    assert refused.value.description == "jobs: hold 16 references to results; a batch may have 12"


def test_a_batch_may_have_many_links_and_not_any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_LINKS", 3)
    assert prepared(chain(readers=3, references=0)) == 4
    with pytest.raises(Problem) as refused:
        prepared(chain(readers=4, references=0))
    assert refused.value.description == "jobs: have 4 entries in `after`; a batch may have 3"


def test_of_a_long_circle_the_first_names_are_shown() -> None:
    circle = [{**FETCH, "name": f"n{n}", "after": [f"n{(n + 1) % 1000}"]} for n in range(1000)]
    with pytest.raises(Problem) as refused:
        prepared(circle)
    said = str(refused.value.members["errors"])
    assert "goes round in a circle: n" in said
    assert len(said) < 500
