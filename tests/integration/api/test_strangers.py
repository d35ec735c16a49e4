"""No request of client B, whatever it guesses, reads, changes or learns of what is A's.

The cache, the rate limiter and the cap on live jobs stand before it all, as they may on a platform.

Walks every operation of the OpenAPI document, so that a new one cannot be forgotten: one with a path
parameter that is not known here fails until `Secrets.guesses` says what A has there, and one to post or put
to until `Secrets.bodies` says what.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from falcon.testing import Result, TestClient

from api.app import Deps, create_app
from api.cache import RedisCache
from api.limits import RateLimiter
from api.live_jobs import LiveJobs
from api.operations import OPERATIONS, Route
from tests.integration.api.conftest import NewCaller
from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from tests.integration.api.test_batches import accepted as submitted
from tests.integration.api.test_schedules import DAILY
from tests.integration.api.test_schedules import created as scheduled
from worker.contract import Rights, Scope, Scopes
from worker.contract.states import State
from worker.ledger import artifacts, clients, jobs
from worker.ledger.ids import new_id
from worker.ledger.records import Artifact

MARK = "between-a-and-nobody"  # stands in all that is A's
UNIQUE = "a key that A holds"  # and B may hold too
GUARDED = [route for route, operation in OPERATIONS.items() if not operation.public]
# Queues are nobody's, and no stranger's key reaches them: `test_queues.py`.
ABOUT_ONE = [route for route in GUARDED if "{" in route[0] and OPERATIONS[route].scope is not Scope.OPERATE]
ABOUT_MANY = [route for route in GUARDED if "{" not in route[0]]


@dataclass(frozen=True)
class Secrets:
    """What A has, and B somehow knows the names of."""

    owner: Caller
    idempotency_key: str
    jobs: dict[str, str]  # state or place → id
    batch: str
    schedule: str
    upload: str
    file: str
    file_name: str

    def guesses(self, parameter: str) -> list[str]:
        """Values of a path parameter that are A's."""
        return {
            "job_id": list(self.jobs.values()),
            "batch_id": [self.batch],
            "schedule_id": [self.schedule],
            "artifact_id": [self.upload, self.file],
            "name": [self.file_name],
        }[parameter]

    def tries(self, route: Route) -> Iterable[tuple[dict[str, str], dict[str, str], bytes]]:
        """Headers, queries and bodies for a route that is about many things, as close to A's as can be."""
        if route[1] == "get":
            return product([{}], self.queries(), [b""])
        keys = [{}, {"Idempotency-Key": self.idempotency_key}]
        return product(keys, [{}, {"name": "mine"}], map(msgspec.json.encode, self.bodies(route[0])))

    def queries(self) -> list[dict[str, str]]:
        """What lists are asked for."""
        return [
            {},
            {"tag": MARK},
            {"batch": self.batch},
            {"name": DAILY["name"]},
            {"page_token": self.owner.get("/v1/jobs?page_size=1").json["next_page_token"]},
            {"state": "failed", "kind": "test.greet"},
            {"client": "*"},
            {"client": self.owner.client.name},
        ]

    def bodies(self, template: str) -> list[object]:
        """What is posted, or put."""
        mine = {"kind": "test.idle", "tags": ["b"]}
        acts = [
            {"tag": MARK},
            {"batch": self.batch},
            {"kind": "test.greet"},
            {"kind": "test.greet", "client": "*"},
            {"kind": "test.greet", "client": self.owner.client.name},
        ]
        jobs = [
            mine,
            mine | {"unique_key": UNIQUE},
            *({**mine, "after": [job_id]} for job_id in self.jobs.values()),
        ]
        schedule = DAILY | {"kind": "test.idle", "payload": {}}  # under the name of A's
        return {
            "/v1/jobs": jobs,
            "/v1/jobs/cancel": acts,
            "/v1/jobs/retry": acts,
            "/v1/batches": [{"jobs": [job]} for job in jobs],
            "/v1/artifacts": [mine],
            "/v1/schedules": [schedule],
            "/v1/schedules/{schedule_id}": [schedule],
        }[template]

    def paths(self, template: str) -> list[str]:
        """The paths of a route that lead to something of A's."""
        names = [part[1:-1] for part in template.split("/") if part.startswith("{")]
        choices = product(*(self.guesses(name) for name in names))
        return [template.format(**dict(zip(names, values, strict=True))) for values in choices]

    def told_by(self, answer: Result) -> list[str]:
        """What of A's an answer shows."""
        seen = answer.text + str(answer.headers)
        known = [MARK, self.owner.client.name, str(self.owner.client.id)]
        ids = [self.upload, self.file, self.batch, self.schedule, *self.jobs.values()]
        return [word for word in (*known, *ids) if word in seen]

    def state(self) -> Any:
        """Everything that A can see."""
        pages = ["/v1/jobs", "/v1/batches", f"/v1/batches/{self.batch}", f"/v1/artifacts/{self.upload}"]
        pages += ["/v1/schedules", f"/v1/schedules/{self.schedule}", f"/v1/schedules/{self.schedule}/firings"]
        pages += [f"/v1/jobs/{job_id}" for job_id in self.jobs.values()]
        return [(self.owner.get(page).status_code, self.owner.get(page).content) for page in pages]


@pytest.fixture
def http(deps: Deps, broker_url: str) -> Iterator[TestClient]:
    """With all that a platform may have."""

    def counted() -> Mapping[UUID, int]:
        with deps.ledger.write() as connection:
            return jobs.live_by_client(connection)

    with (
        closing(RateLimiter("100000/minute", broker_url)) as limiter,
        closing(LiveJobs(1000, counted)) as live,
    ):
        live.start()
        more = replace(deps, cache=RedisCache(broker_url, 60), rate_limiter=limiter, live_jobs=live)
        yield TestClient(create_app(more))


@pytest.fixture
def secrets(caller: Caller, worker: FakeWorker, deps: Deps, tomorrow: str) -> Secrets:
    greeting = {"kind": "test.greet", "payload": {"name": "Ada", "nested": {MARK: []}}, "tags": [MARK]}
    held = {"unique_key": {"key": UNIQUE, "states": list(State)}}
    key = str(uuid4())
    made = {
        "scheduled": caller.accepted({**greeting, **held, "scheduled_at": tomorrow}, Idempotency_Key=key),
        **{state: caller.accepted(greeting) for state in ("queued", "running", "failed", "succeeded")},
    }
    worker.claim(made["running"])
    worker.fail(worker.claim(made["failed"]), MARK)
    batch = submitted(caller, {**greeting, "scheduled_at": tomorrow}, greeting, tags=[MARK])
    claimed = worker.claim(made["succeeded"])
    with deps.storage.create() as (artifact_id, writer):
        writer.write(MARK.encode())
    file = Artifact(
        id=artifact_id,
        client_id=caller.client.id,
        job_id=claimed.id,
        name="body",
        content_type="text/plain",
        size=writer.size,
        sha256=writer.sha256,
    )
    with deps.ledger.write() as connection:
        artifacts.record_artifacts(connection, [file])
    worker.succeed(claimed, {"text": MARK})
    caller.job(made["succeeded"]["id"])  # and now it is in the cache
    upload = caller.call("POST", "/v1/artifacts", params={"name": "mine"}, body=MARK).json["id"]
    jobs = {state: str(job["id"]) for state, job in made.items()}
    jobs |= dict(zip(("first of a batch", "last of a batch"), batch["job_ids"], strict=True))
    schedule = scheduled(caller, **greeting, cron="0 0 1 1 *")["id"]
    return Secrets(caller, key, jobs, batch["id"], schedule, upload, str(artifact_id), "body")


@pytest.fixture(params=["its own client's key", "a key for other kinds"])
def stranger(new_caller: NewCaller, request: pytest.FixtureRequest) -> Caller:
    """B, with keys that differ in what they may submit."""
    return new_caller(Rights(("test.idle",)) if "other" in request.param else None)


def plain(answer: Result) -> tuple[int, Any, set[str]]:
    """An answer without what is different each time."""
    body = msgspec.json.decode(answer.content) if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, body, set(answer.headers)


@pytest.mark.parametrize("route", ABOUT_ONE, ids=" ".join)
def test_what_is_as_is_for_a_stranger_as_if_it_were_not(
    secrets: Secrets, stranger: Caller, route: Route
) -> None:
    template, method = route
    before = secrets.state()
    names = {part: unknown_id() for part in ("job_id", "artifact_id", "batch_id", "schedule_id", "name")}
    json = {"Content-Type": "application/json"} if method == "put" else {}
    body = msgspec.json.encode(secrets.bodies(template)[0]) if json else b""
    nothing = template.format(**names)
    for path, verb in product(
        secrets.paths(template), {method.upper()} | ({"HEAD"} if method == "get" else set())
    ):
        for headers in ({}, {"If-None-Match": "*"}, {"Range": "bytes=0-3"}, {"Prefer": "wait=1"}):
            answer = stranger.call(verb, path, headers | json, body=body)
            assert answer.status_code == 404
            assert plain(answer) == plain(stranger.call(verb, nothing, headers | json, body=body))
            assert secrets.told_by(answer) == []
    assert secrets.state() == before


@pytest.mark.parametrize("route", ABOUT_MANY, ids=" ".join)
def test_no_list_and_no_submission_of_a_stranger_shows_anything_of_as(
    secrets: Secrets, stranger: Caller, route: Route
) -> None:
    template, method = route
    before = secrets.state()
    for headers, params, body in secrets.tries(route):
        content = {"Content-Type": "application/json"} if body else {}
        answer = stranger.call(method.upper(), template, headers | content, params=params, body=body)
        assert answer.status_code < 500
        assert secrets.told_by(answer) == []
    assert secrets.state() == before


def test_a_unique_key_of_as_is_free_to_a_stranger(secrets: Secrets, stranger: Caller) -> None:
    wish = {"kind": "test.idle", "unique_key": UNIQUE}
    mine = stranger.accepted(wish)["id"]
    assert (stranger.submit(wish).status_code, stranger.submit(wish).json["id"]) == (200, mine)
    assert stranger.call("POST", f"/v1/jobs/{mine}/cancel").status_code == 200
    assert secrets.owner.submit(wish).json["id"] == secrets.jobs["scheduled"]


def test_no_file_of_as_can_be_taken_by_a_job_of_a_strangers(secrets: Secrets, deps: Deps) -> None:
    """What a handler opens it opens by the id and the client of its job."""
    with deps.ledger.write() as connection:
        for artifact_id in (secrets.upload, secrets.file):
            assert artifacts.find_artifact(connection, UUID(artifact_id), new_id()) is None


def test_the_first_characters_of_a_key_open_nothing(secrets: Secrets, stranger: Caller, deps: Deps) -> None:
    with deps.ledger.read() as connection:
        (key,) = clients.keys_of(connection, secrets.owner.client.id)
    for guess in (key["hint"], str(key["id"]), secrets.owner.key[:-1], secrets.owner.key + "A"):
        answer = stranger.call("GET", "/v1/jobs", {"Authorization": f"Bearer {guess}"})
        assert answer.status_code == 401
        assert secrets.told_by(answer) == []


def test_an_operator_reads_no_file_that_a_client_uploaded(secrets: Secrets, new_caller: NewCaller) -> None:
    """Its reach are jobs, with what they made; uploads are seen where a job names them."""
    operator = new_caller(scopes=Scopes.of(["operate"]))
    assert operator.get(f"/v1/artifacts/{secrets.upload}").status_code == 404
    assert operator.get(f"/v1/jobs/{secrets.jobs['succeeded']}/artifacts/body").text == MARK
