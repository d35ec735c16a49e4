import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import falcon.inspect
import falcon.testing
import jsonschema
import msgspec
import pytest
from openapi_spec_validator import validate

import api
from api import openapi
from api.applications import App
from api.operations import OPERATIONS
from api.problem_types import TITLES, uri
from api.resources.kinds import KindDescription
from tests.unit.api.kinds import CATALOG
from worker.contract import KindError, Payload


@pytest.fixture(scope="module")
def document(app: App) -> Mapping[str, Any]:
    answer = falcon.testing.TestClient(app).simulate_get("/openapi.json")
    assert answer.status_code == 200
    found: Mapping[str, Any] = answer.json
    return found


def submission_schema(document: Mapping[str, Any]) -> Mapping[str, Any]:
    content = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    return {**content["schema"], "components": document["components"]}


def test_the_document_is_openapi(document: Mapping[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1.")


def test_it_describes_every_route_and_no_other(app: App, document: Mapping[str, Any]) -> None:
    routed = {
        (route.path, method.method.lower())
        for route in falcon.inspect.inspect_routes(app)
        for method in route.methods
        if not method.internal and method.method != "HEAD"
    } - {("/openapi.json", "get"), ("/docs", "get")}
    described = {
        (path, method)
        for path, operations in document["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert described == routed == set(OPERATIONS)


def test_what_can_be_read_can_be_asked_for_its_head(app: App) -> None:
    for route in falcon.inspect.inspect_routes(app):
        methods = {method.method for method in route.methods}
        assert ("GET" in methods) == ("HEAD" in methods), route.path


def test_every_type_of_problem_is_described(document: Mapping[str, Any]) -> None:
    readme = (Path(api.__file__).parent / "README.md").read_text()
    paths = json.dumps(document["paths"])
    for code in TITLES:
        assert f"`{code}`" in paths
        assert (
            uri(code)
            in document["components"]["schemas"]["ProblemDocument"]["properties"]["type"]["examples"]
        )
        assert f":{code}`" in readme


def test_a_problem_is_shown_with_the_type_that_it_has(document: Mapping[str, Any]) -> None:
    answers = document["paths"]["/v1/jobs/{job_id}/cancel"]["post"]["responses"]
    shown = {
        status: answers[status]["content"]["application/problem+json"]["example"] for status in ("404", "405")
    }
    assert (shown["404"]["type"], shown["404"]["title"]) == (
        "urn:jobyard:no-such-job",
        "There is no such job",
    )
    assert (shown["405"]["type"], shown["405"]["title"]) == ("about:blank", "Method Not Allowed")


def test_it_tells_where_a_keys_rights_may_not_reach(document: Mapping[str, Any]) -> None:
    forbidden = {
        (path, method): operation["responses"]["403"]["description"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method != "parameters" and "403" in operation["responses"]
    }
    assert set(forbidden) == {route for route, operation in OPERATIONS.items() if not operation.public}
    by_kind = {route for route, words in forbidden.items() if "kind-not-allowed" in words}
    assert by_kind == {
        ("/v1/jobs", "post"),
        ("/v1/batches", "post"),
        ("/v1/jobs/{job_id}/retry", "post"),
        ("/v1/schedules", "post"),
        ("/v1/schedules/{schedule_id}", "put"),
        ("/v1/schedules/{schedule_id}/enable", "post"),
        ("/v1/schedules/{schedule_id}/run", "post"),
    }


def test_it_names_the_scope_that_each_operation_needs(document: Mapping[str, Any]) -> None:
    for (path, method), operation in OPERATIONS.items():
        security = document["paths"][path][method]["security"]
        assert security == ([{"key": [operation.scope]}] if operation.scope else [])


@pytest.mark.parametrize(
    "submission",
    [
        {"kind": "test.greet", "payload": {"name": "Ada"}},
        {"kind": "test.greet", "payload": {"name": "Ada", "times": 2}, "priority": "high", "tags": ["a"]},
        {"kind": "test.idle"},
        {"kind": "test.idle", "scheduled_at": "2030-01-01T00:00:00Z", "max_attempts": 1},
    ],
)
def test_a_good_submission_fits_its_schema(document: Mapping[str, Any], submission: object) -> None:
    jsonschema.Draft202012Validator(submission_schema(document)).validate(submission)


@pytest.mark.parametrize(
    "submission",
    [
        {"kind": "test.greet"},
        {"kind": "test.greet", "payload": {"name": ""}},
        {"kind": "test.greet", "payload": {"name": "Ada", "times": 10}},
        {"kind": "test.idle", "payload": {"name": "Ada"}},
        {"kind": "test.unknown", "payload": {}},
        {"kind": "test.idle", "what": 1},
        {"kind": "test.idle", "tags": ["line\nbreak"]},
    ],
)
def test_a_bad_submission_does_not(document: Mapping[str, Any], submission: object) -> None:
    validator = jsonschema.Draft202012Validator(submission_schema(document))
    assert not validator.is_valid(submission)


def test_the_kinds_show_the_schemas_of_their_payloads_and_results() -> None:
    shown = json.loads(msgspec.json.encode(KindDescription.of_kind(CATALOG["test.greet"])))
    jsonschema.Draft202012Validator.check_schema(shown["payload"])
    assert jsonschema.Draft202012Validator(shown["payload"]).is_valid({"name": "Ada"})
    assert not jsonschema.Draft202012Validator(shown["payload"]).is_valid({"nmae": "Ada"})
    assert jsonschema.Draft202012Validator(shown["result"]).is_valid({"text": "hello"})
    assert (shown["queue"], shown["max_attempts"], shown["deadline"]) == ("email", 3, 7.0)
    assert shown["description"] == "Greet somebody."


def test_a_kind_without_a_result_has_no_schema_for_it() -> None:
    assert KindDescription.of_kind(CATALOG["test.idle"]).result is None


def payload_named(name: str, module: str, field: str) -> type[Payload]:
    return msgspec.defstruct(name, [(field, int)], bases=(Payload,), module=module, kw_only=True, frozen=True)


def described_with(*types: type[Payload]) -> Mapping[str, Any]:
    """The document of an API that has a kind for each of these payloads, beside others."""
    own = [
        dataclasses.replace(CATALOG["test.idle"], name=f"own.kind{number}", payload_type=type_)
        for number, type_ in enumerate(types)
    ]
    return openapi.document({**CATALOG, **{kind.name: kind for kind in own}}, {})


@pytest.mark.parametrize("name", ["Job", "Attempt", "Submission", "ProblemDocument", "Input"])
def test_payloads_of_one_name_are_told_apart_from_each_other_and_from_the_apis_own(name: str) -> None:
    schemas = described_with(payload_named(name, "one", "a"), payload_named(name, "two", "b"))["components"]
    taken = []
    for number in (0, 1):
        payload = schemas["schemas"][f"OwnKind{number}ScheduleWish"]["properties"]["payload"]
        taken.append(resolved(schemas, payload["$ref"])["properties"].keys())
    assert taken == [{"a"}, {"b"}]
    assert resolved(schemas, "#/components/schemas/BatchSubmission")["properties"]["jobs"]["items"]


def test_a_payload_may_not_be_called_as_what_stands_for_other_jobs_results() -> None:
    with pytest.raises(KindError, match="Reference: a name of the API's own"):
        described_with(payload_named("Reference", "one", "a"))


def resolved(components: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = components["schemas"][reference.rpartition("/")[2]]
    return found
