"""Lists come from the read replica, which may be late, and nothing else does."""

from collections.abc import Iterator
from dataclasses import replace

import msgspec
import pytest
from falcon.testing import TestClient

from api.app import Deps, create_app
from tests.integration.api.fakes import Caller
from tests.integration.api.test_acts import acted
from tests.integration.api.test_batches import submit
from tests.servers import Servers
from worker.ledger.engines import Ledger
from worker.settings import Settings


@pytest.fixture
def late(embedded: Servers, deps: Deps, settings: Settings, caller: Caller) -> Iterator[Caller]:
    """A caller of an API whose replica has heard of nothing yet: a ledger of its own, which stays empty."""
    with embedded.database() as url:
        ledger = Ledger.open(msgspec.structs.replace(settings, database_read_url=url), "test")
        api = create_app(replace(deps, ledger=ledger))
        yield Caller(TestClient(api), caller.client, caller.key)
        ledger.close()


def test_what_was_submitted_a_moment_ago_is_found_though_the_replica_has_it_not(late: Caller) -> None:
    job = late.accepted(Idempotency_Key="k")
    path = f"/v1/jobs/{job['id']}"
    assert late.get(path).status_code == 200
    assert late.get(path, Prefer="wait=1").json["state"] == "queued"
    assert late.accepted(Idempotency_Key="k")["id"] == job["id"]
    assert late.accepted({"kind": "test.idle", "after": [job["id"]]})["state"] == "scheduled"
    assert late.post(f"{path}/cancel").json["state"] == "cancelled"
    assert late.post(f"{path}/retry").status_code == 202
    batch = submit(late, {"jobs": [{"kind": "test.idle"}]}).json
    assert late.get(f"/v1/batches/{batch['id']}").json["counts"] == {"queued": 1}
    assert late.post(f"/v1/batches/{batch['id']}/cancel").json["done"]
    stored = late.call("POST", "/v1/artifacts", params={"name": "a"}, body=b"abc")
    assert late.get(stored.headers["Location"]).content == b"abc"


def test_lists_are_the_replicas(late: Caller, caller: Caller) -> None:
    job = late.accepted()
    assert late.get("/v1/jobs").json["jobs"] == []
    assert [each["id"] for each in caller.get("/v1/jobs").json["jobs"]] == [job["id"]]


def test_acts_by_filter_miss_nothing_that_the_replica_has_not(late: Caller) -> None:
    late.accepted()
    assert acted(late, "cancel", kind="test.greet") == (1, 1)
