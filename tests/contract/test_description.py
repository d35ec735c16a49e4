"""The API's description is whole: for every kind, and in every part."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from api import openapi
from api.batching import prepare
from api.callbacks import EVENTS
from api.operations import OPERATIONS
from api.schemas import example
from worker import catalog, definitions
from worker.catalog import AnyKind
from worker.enqueue import Enqueuer, Submission
from worker.ledger.clients import Client
from worker.ledger.ids import new_id
from worker.settings import Settings

CATALOG = catalog.of_clients(catalog.load())
Parts = Iterator[tuple[str, Mapping[str, Any]]]


class Resource:
    """Answers to all methods that are described."""

    def __init__(self, template: str) -> None:
        for method in (method for path, method in OPERATIONS if path == template):
            setattr(self, f"on_{method}", None)


@pytest.fixture(scope="module")
def document() -> Mapping[str, Any]:
    routes = {template: Resource(template) for template, _ in OPERATIONS}
    made: Mapping[str, Any] = msgspec.json.decode(msgspec.json.encode(openapi.document(CATALOG, routes)))
    return made


@pytest.mark.parametrize("kind", CATALOG.values(), ids=CATALOG.keys())
def test_the_example_of_a_kind_is_accepted(kind: AnyKind, document: Mapping[str, Any]) -> None:
    """Where the required fields' examples do not suffice, the payload's EXAMPLE says a whole one."""
    submission = msgspec.json.encode(example(kind))
    Enqueuer(CATALOG).prepare(msgspec.json.decode(submission, type=Submission), new_id(), None)
    schema = {"$ref": "#/components/schemas/Submission", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(example(kind))


FETCH = {"kind": "web.fetch", "name": "f", "payload": {"url": "https://example.com/orders.csv"}}
LOAD = {"source": "warehouse", "table": "orders", "format": "csv", "mode": "append"}
BODY = {"$from": "f", "artifact": "body"}
MAIL = {"to": ["ada@example.org"], "subject": "Orders", "text": "Here.\n"}


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("database.load", {**LOAD, "artifact": BODY}),
        ("database.load", {**LOAD, "data": {"$from": "f", "result": "/rows/0/id~1~0"}}),
        ("email.send", {**MAIL, "attachments": [{"name": "orders.csv", "artifact": BODY}]}),
        ("email.send", {**MAIL, "to": [{"$from": "f", "result": "/owner"}]}),
        ("email.send", {**MAIL, "attachments": {"$from": "f", "result": "/files"}}),
        ("report.render", {"report": "sales", "params": {"since": {"$from": "f", "result": ""}}}),
        ("web.fetch", {"url": "https://example.com/", "headers": {"A": {"$from": "f", "result": "/a"}}}),
        ("web.fetch", {"$from": "f", "result": ""}),
    ],
)
def test_a_chain_fits_the_description(kind: str, payload: object, document: Mapping[str, Any]) -> None:
    second = {"kind": kind, "after": ["f"], "payload": payload}
    valid(document, "BatchSubmission").validate({"jobs": [FETCH, second]})
    valid(document, "Submission").validate({**second, "after": [str(new_id())]})


@pytest.mark.parametrize(
    "reference",
    [
        {"$from": "f"},
        {"$from": "f", "result": "", "artifact": "body"},
        {"$from": "f", "result": "rows"},
        {"$from": "f", "result": "/~2"},
        {"$from": 1, "artifact": "body"},
        {"$from": "f", "artifact": "body", "more": 1},
    ],
)
def test_what_is_no_reference_does_not(reference: object, document: Mapping[str, Any]) -> None:
    second = {"kind": "database.load", "after": ["f"], "payload": {**LOAD, "artifact": reference}}
    assert not valid(document, "BatchSubmission").is_valid({"jobs": [FETCH, second]})


def test_a_schedules_job_comes_after_no_other_and_takes_nothing(document: Mapping[str, Any]) -> None:
    wish = {"name": "a", "cron": "0 6 * * *", "kind": "database.load", "payload": {**LOAD, "data": "id\n"}}
    valid(document, "ScheduleWish").validate(wish)
    assert not valid(document, "ScheduleWish").is_valid({**wish, "payload": {**LOAD, "artifact": BODY}})


def valid(document: Mapping[str, Any], name: str) -> jsonschema.Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/batches"])
def test_what_is_shown_of_a_submission_fits_and_is_accepted(path: str, document: Mapping[str, Any]) -> None:
    operation = document["paths"][path]["post"]
    asked = operation["requestBody"]["content"]["application/json"]
    answered = operation["responses"]["202"]["content"]["application/json"]
    for media in (asked, answered):
        schema = {**media["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(media["example"])
    jobs = asked["example"].get("jobs", [asked["example"]])
    raw = [msgspec.Raw(msgspec.json.encode(job)) for job in jobs]
    client = Client(new_id(), "ada")
    ready = prepare(raw, Enqueuer(CATALOG), client, request_id="1", batch_id=new_id(), largest=10_000)
    assert len(ready.jobs) == len(jobs)


def test_what_examples_name_the_demos_definitions_have() -> None:
    demo = definitions.load(Path("ops/tour/definitions"))
    named = {name: kind.payload_type.EXAMPLE for name, kind in CATALOG.items() if kind.payload_type.EXAMPLE}
    assert named["database.execute"]["statement"] in demo.statements
    load = named["database.load"]
    assert load["mode"] in demo.sources[load["source"]].tables[load["table"]].modes
    assert named["report.render"]["report"] in demo.reports
    assert named["report.oversee"]["report"] in definitions.load(None).reports


def test_everything_says_what_it_means(document: Mapping[str, Any]) -> None:
    silent = [name for name, part in _parts(document) if not part.get("description")]
    assert silent == []


def test_every_error_is_a_problem_with_an_example(document: Mapping[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/ProblemDocument", "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    for _, operation in _operations(document):
        problems = {s: answer for s, answer in operation["responses"].items() if s.startswith(("4", "5"))}
        assert {"400", "500", "503"} <= problems.keys()
        for status, problem in problems.items():
            example = problem["content"]["application/problem+json"]["example"]
            assert example["status"] == int(status)
            validator.validate(example)
            assert "`)" not in example["detail"]  # what a type is called stands in `type`


@pytest.mark.parametrize(
    ("path", "method", "status", "field"),
    [
        ("/v1/jobs", "post", "422", "payload.url"),
        ("/v1/jobs", "get", "400", "page_size"),
        ("/v1/jobs/cancel", "post", "422", "state"),
        ("/v1/batches", "post", "422", "jobs[17].payload.url"),
        ("/v1/schedules", "post", "422", "payload.url"),
        ("/v1/queues/{queue}/purge", "post", "422", "confirm"),
    ],
)
def test_the_example_of_a_refusal_names_a_field(
    path: str, method: str, status: str, field: str, document: Mapping[str, Any]
) -> None:
    answer = document["paths"][path][method]["responses"][status]
    shown = answer["content"]["application/problem+json"]["example"]
    (error,) = shown["errors"]
    assert (error["field"], shown["detail"]) == (field, f"{field}: {error['reason']}")


def test_it_is_said_for_how_long_an_idempotency_key_is_remembered(document: Mapping[str, Any]) -> None:
    (header,) = [
        each
        for each in document["paths"]["/v1/jobs"]["post"]["parameters"]
        if each["name"] == "Idempotency-Key"
    ]
    assert Settings().idempotency_retention == 48 * 3600
    assert "48 hours" in header["description"]


def test_a_result_is_described_beside_its_submission(document: Mapping[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["WebFetchSubmission"]["x-result"] == {"$ref": "#/components/schemas/WebFetched"}
    assert {"$ref": "#/components/schemas/WebFetched"} in schemas["Job"]["properties"]["result"]["anyOf"]


@pytest.mark.parametrize(
    "name",
    ["database.execute", "database.load", "email.send", "report.oversee", "report.render", "web.fetch"],
)
def test_every_field_of_a_result_is_shown_by_an_example_that_fits(name: str) -> None:
    schema = msgspec.json.schema(CATALOG[name].result_type)
    fields = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
    for field in fields.values():
        for shown in field["examples"]:
            jsonschema.Draft202012Validator({**field, "$defs": schema["$defs"]}).validate(shown)


@pytest.mark.parametrize("event", EVENTS)
def test_a_callback_is_described_with_an_example(event: str, document: Mapping[str, Any]) -> None:
    operation = document["webhooks"][event]["post"]
    media = operation["requestBody"]["content"]["application/json"]
    assert media["example"]["type"] == event
    schema = {**media["schema"], "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(media["example"])
    assert [header["name"] for header in operation["parameters"]] == [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    ]
    assert operation["responses"].keys() == {"2XX", "410", "default"}


def test_a_submission_tells_what_is_posted_to_its_callback(document: Mapping[str, Any]) -> None:
    linked = {
        event
        for path in ("/v1/jobs", "/v1/batches")
        for event, callback in document["paths"][path]["post"]["callbacks"].items()
        for item in callback.values()
        if item == {"$ref": f"#/webhooks/{event}"}
    }
    assert linked == set(EVENTS) == document["webhooks"].keys()


def test_every_operation_has_a_verb_of_its_own(document: Mapping[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in _operations(document)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name) for name in names)


def _operations(document: Mapping[str, Any]) -> Parts:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield f"{method} {path}", operation


def _parts(document: Mapping[str, Any]) -> Parts:
    for path, item in document["paths"].items():
        yield from ((f"{path} {part['name']}", part) for part in item["parameters"])
    for name, operation in _operations(document):
        yield from ((f"{name} {part['name']}", part) for part in operation["parameters"])
        for status, answer in operation["responses"].items():
            yield f"{name} {status}", answer
            yield from ((f"{name} {status} {header}", part) for header, part in answer["headers"].items())
    for name, schema in document["components"]["schemas"].items():
        yield name, schema
        properties = schema.get("properties", {}).items()
        yield from ((f"{name}.{key}", part) for key, part in properties)
