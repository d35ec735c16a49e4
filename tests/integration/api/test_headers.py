"""What answers say in their headers is what the description says, no less and no more."""

from collections.abc import Callable

import pytest
from falcon.testing import Result, TestClient

from tests.integration.api.fakes import Caller, FakeWorker, unknown_id
from tests.integration.api.test_batches import submit

# Of every answer with a body, or of HTTP itself.
OF_CONTENT = {"content-type", "content-length"}
# Sent where there is something to say.
SOMETIMES = {"ratelimit", "ratelimit-policy", "preference-applied", "retry-after", "www-authenticate"}

Ask = Callable[[Caller, FakeWorker], Result]
KEYED = {"kind": "test.idle", "unique_key": "front page"}


def running(caller: Caller, worker: FakeWorker) -> str:
    job = caller.accepted()
    worker.claim(job)
    return str(job["id"])


def cancelled(caller: Caller) -> str:
    job_id = caller.accepted()["id"]
    caller.post(f"/v1/jobs/{job_id}/cancel")
    return str(job_id)


def known(caller: Caller, path: str) -> Result:
    return caller.get(path, If_None_Match=caller.get(path).headers["ETag"], Prefer="wait=0")


def batch_of_running(caller: Caller, worker: FakeWorker) -> str:
    batch = submit(caller, {"jobs": [{"kind": "test.idle"}]}).json
    worker.claim(caller.job(batch["job_ids"][0]))
    return str(batch["id"])


def upload(caller: Caller) -> Result:
    return caller.call("POST", "/v1/artifacts", params={"name": "a"}, body=b"abc")


ASKED: dict[tuple[str, str, int], Ask] = {
    ("/v1/jobs", "post", 202): lambda caller, _: caller.submit(Prefer="wait=1"),
    ("/v1/jobs", "post", 200): lambda caller, _: [caller.submit(KEYED) for _ in range(2)][1],
    ("/v1/jobs", "post", 422): lambda caller, _: caller.submit({"kind": "no.such"}),
    ("/v1/jobs", "post", 405): lambda caller, _: caller.call("PATCH", "/v1/jobs"),
    ("/v1/jobs", "get", 200): lambda caller, _: caller.get("/v1/jobs"),
    ("/v1/jobs", "get", 400): lambda caller, _: caller.get("/v1/jobs?page_size=x"),
    ("/v1/jobs", "get", 401): lambda caller, _: caller.call("GET", "/v1/jobs", {"Authorization": "none"}),
    ("/v1/jobs", "get", 403): lambda caller, _: caller.get("/v1/jobs?client=*"),
    ("/v1/jobs/{job_id}", "get", 200): lambda caller, worker: caller.get(
        f"/v1/jobs/{running(caller, worker)}", Prefer="wait=1"
    ),
    ("/v1/jobs/{job_id}", "get", 304): lambda caller, _: known(caller, f"/v1/jobs/{caller.accepted()['id']}"),
    ("/v1/jobs/{job_id}", "get", 404): lambda caller, _: caller.get(f"/v1/jobs/{unknown_id()}"),
    ("/v1/jobs/{job_id}/cancel", "post", 200): lambda caller, _: caller.post(
        f"/v1/jobs/{caller.accepted()['id']}/cancel"
    ),
    ("/v1/jobs/{job_id}/cancel", "post", 202): lambda caller, worker: caller.post(
        f"/v1/jobs/{running(caller, worker)}/cancel"
    ),
    ("/v1/jobs/{job_id}/retry", "post", 202): lambda caller, _: caller.post(
        f"/v1/jobs/{cancelled(caller)}/retry"
    ),
    ("/v1/batches", "post", 202): lambda caller, _: submit(caller, {"jobs": [KEYED]}),
    ("/v1/batches/{batch_id}", "get", 200): lambda caller, _: caller.get(
        f"/v1/batches/{submit(caller, {'jobs': [KEYED]}).json['id']}"
    ),
    ("/v1/batches/{batch_id}", "get", 304): lambda caller, _: known(
        caller, f"/v1/batches/{submit(caller, {'jobs': [KEYED]}).json['id']}"
    ),
    ("/v1/batches/{batch_id}/cancel", "post", 200): lambda caller, _: caller.post(
        f"/v1/batches/{submit(caller, {'jobs': [KEYED]}).json['id']}/cancel"
    ),
    ("/v1/batches/{batch_id}/cancel", "post", 202): lambda caller, worker: caller.post(
        f"/v1/batches/{batch_of_running(caller, worker)}/cancel"
    ),
    ("/v1/artifacts", "post", 201): lambda caller, _: upload(caller),
    ("/v1/artifacts/{artifact_id}", "get", 200): lambda caller, _: caller.get(
        upload(caller).headers["Location"]
    ),
    ("/v1/artifacts/{artifact_id}", "get", 206): lambda caller, _: caller.get(
        upload(caller).headers["Location"], Range="bytes=0-1"
    ),
    ("/v1/artifacts/{artifact_id}", "get", 304): lambda caller, _: known(
        caller, upload(caller).headers["Location"]
    ),
    ("/v1/artifacts/{artifact_id}", "get", 416): lambda caller, _: caller.get(
        upload(caller).headers["Location"], Range="bytes=9-"
    ),
    ("/v1/kinds", "get", 200): lambda caller, _: caller.get("/v1/kinds"),
    ("/v1/kinds", "get", 304): lambda caller, _: known(caller, "/v1/kinds"),
    ("/v1/queues", "get", 403): lambda caller, _: caller.get("/v1/queues"),
    ("/healthz", "get", 200): lambda caller, _: caller.get("/healthz"),
    ("/readyz", "get", 200): lambda caller, _: caller.get("/readyz"),
}


@pytest.mark.parametrize(("route", "ask"), ASKED.items(), ids=[" ".join(map(str, route)) for route in ASKED])
def test_an_answer_has_the_headers_that_are_described(
    http: TestClient, caller: Caller, worker: FakeWorker, route: tuple[str, str, int], ask: Ask
) -> None:
    path, method, status = route
    answer = ask(caller, worker)
    assert answer.status_code == status, answer.text
    responses = http.simulate_get("/openapi.json").json["paths"][path][method]["responses"]
    described = {name.lower() for name in responses[str(status)].get("headers", ())}
    sent = set(answer.headers) - OF_CONTENT
    assert sent <= described
    assert described - sent <= SOMETIMES
