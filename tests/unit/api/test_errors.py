from typing import Any

import falcon
import msgspec
import pytest
from falcon.testing import StartResponseMock, TestClient, create_environ
from loguru import logger
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api import errors
from api.middleware.request_id import RequestId
from worker.enqueue import Refused, UnknownKind


class Raising:
    """Raises what a test wants."""

    error: Exception

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "half an answer"
        raise self.error

    on_post = on_get


@pytest.fixture
def resource() -> Raising:
    return Raising()


@pytest.fixture
def http(resource: Raising) -> TestClient:
    app = falcon.App(middleware=[RequestId()])
    errors.install(app, {"/keyed"})
    app.add_route("/", resource)
    app.add_route("/keyed", resource)
    return TestClient(app)


def problem(http: TestClient, path: str = "/", method: str = "GET") -> dict[str, Any]:
    answer = http.simulate_request(method, path)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.text.endswith("}\n")
    document: dict[str, Any] = answer.json
    assert document["status"] == answer.status_code
    assert document["request_id"] == answer.headers["X-Request-Id"]
    return document


def test_a_problem_has_its_type_and_members(http: TestClient, resource: Raising) -> None:
    resource.error = errors.Problem(409, "no", code="already-ended", state="failed")
    document = problem(http)
    del document["request_id"]
    assert document == {
        "type": "urn:jobyard:already-ended",
        "title": "The job has ended already",
        "status": 409,
        "detail": "no",
        "state": "failed",
    }


def test_an_unknown_kind_lists_the_known_ones(http: TestClient, resource: Raising) -> None:
    resource.error = UnknownKind("a.b", ["c.d", "e.f"])
    document = problem(http)
    assert (document["status"], document["known"]) == (422, ["c.d", "e.f"])
    assert document["errors"][0]["field"] == "kind"


def test_a_refused_field_is_named(http: TestClient, resource: Raising) -> None:
    resource.error = Refused("payload.url", "too long")
    document = problem(http)
    assert document["status"] == 422
    assert document["errors"] == [{"field": "payload.url", "reason": "too long"}]


def test_an_unknown_path_is_a_problem(http: TestClient) -> None:
    document = problem(http, "/nowhere")
    assert document["status"] == 404
    assert "/openapi.json lists what there is" in document["detail"]


def test_a_wrong_method_is_a_problem_that_says_which_are_right(http: TestClient) -> None:
    answer = http.simulate_delete("/")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST, OPTIONS"
    document = problem(http, "/", "DELETE")
    assert document["title"] == "Method Not Allowed"
    assert "`Allow` lists" in document["detail"]


@pytest.mark.parametrize("method", ["BREW", "CONNECT", "get"])
def test_a_strange_method_is_a_problem(http: TestClient, method: str) -> None:
    started = StartResponseMock()
    body = b"".join(http.app(create_environ() | {"REQUEST_METHOD": method}, started))
    status = str(started.status)
    assert status.startswith("4")
    assert started.headers_dict["content-type"] == "application/problem+json"
    assert str(msgspec.json.decode(body)["status"]) == status[:3]


def test_something_unexpected_tells_the_log_and_not_the_client(http: TestClient, resource: Raising) -> None:
    resource.error = KeyError("secret detail")
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra[request_id]} {exception}")
    document = problem(http)
    logger.remove(sink)
    assert document["status"] == 500
    assert "secret" not in str(document)
    (line,) = lines
    assert line.startswith(f"request_failed {document['request_id']}")
    assert "secret detail" in line


class Gone(Exception):  # noqa: N818 - plays psycopg2's
    """An error of the driver."""


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT 1", {}, Gone("secret host")),
        InternalError("INSERT", {}, Gone("read-only")),
        DBAPIError("SELECT 1", {}, Gone(), connection_invalidated=True),
        PoolTimeout("no free connection"),
    ],
)
def test_a_ledger_that_is_away_is_a_reason_to_come_back(
    http: TestClient, resource: Raising, error: Exception
) -> None:
    resource.error = error
    answer = http.simulate_get("/")
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "advice"),
    [
        ("GET", "/", {}, "ask again"),
        ("POST", "/", {"Idempotency-Key": "k"}, "look whether this request took effect"),
        ("POST", "/keyed", {}, "with an Idempotency-Key the next"),
        ("POST", "/keyed", {"Idempotency-Key": "k"}, "repeat this request with the same Idempotency-Key"),
    ],
)
def test_the_advice_in_an_outage_fits_the_request(  # noqa: PLR0917 - parameters
    http: TestClient, resource: Raising, method: str, path: str, headers: dict[str, str], advice: str
) -> None:
    resource.error = PoolTimeout("no free connection")
    assert advice in http.simulate_request(method, path, headers=headers).json["detail"]


def test_a_wrong_statement_is_no_outage(http: TestClient, resource: Raising) -> None:
    resource.error = ProgrammingError("SELEKT", {}, Gone())
    assert problem(http)["status"] == 500
