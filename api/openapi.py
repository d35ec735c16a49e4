"""The OpenAPI 3.1 document: made of the routes, the catalog, and what `api.operations` says."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec

from api.applications import Params
from api.batching import BatchSubmission
from api.bodies import JSON, NDJSON
from api.callbacks import ANSWERS, EVENTS, HEADERS, Callback
from api.errors import MEDIA_TYPE, FieldError, ProblemDocument
from api.operation import REQUEST_ID, Header, Operation
from api.operations import OPERATIONS
from api.problem_types import TITLES, uri
from api.referring import REFERENCE, Schema
from api.resources.acts import FilteredAct
from api.resources.queues import Purge
from api.scheduling import ScheduleWish
from api.schemas import Schemas, portable
from worker.catalog import Catalog
from worker.enqueue import Submission

PATH = "/openapi.json"

_METHODS = ("get", "post", "put", "patch", "delete")
_FIELD = re.compile(r"{(\w+)}")
_CODE = re.compile(r"`([a-z-]+)`")
_CODED = re.compile(r" \((`[a-z-]+`(, )?)+\)")
_NAMED = {"name": "body", "queue": "web"}  # parts of paths that are no ids
_NO_URL = "Object missing required field `url`"
_NO_SIZE = FieldError("page_size", "Expected `integer` >= 1")
_REFUSED: Mapping[type, FieldError] = MappingProxyType(
    {
        Submission: FieldError("payload.url", _NO_URL),
        ScheduleWish: FieldError("payload.url", _NO_URL),
        BatchSubmission: FieldError("jobs[17].payload.url", _NO_URL),
        FilteredAct: FieldError("state", "Invalid enum value 'dead'; allowed are: failed, cancelled"),
        Purge: FieldError("confirm", "is not the queue's name"),
    }
)
_BYTES = "application/octet-stream"
_KEY = "key"
_CALLBACK = "{$request.body#/callback}"  # a runtime expression (OpenAPI 3.1, section 4.8.20.4)
_KEYS = (
    "Send an API key with each request: `Authorization: Bearer jy_…`. A key has scopes, and perhaps kinds;"
    " it sees what its client owns; operators make keys with `jobyard keys add`."
)
_ABOUT = """\
Submit jobs, follow them, and read their results.

A job that was accepted (202) is never lost, and always ends in a state that can be read here. What can be
read by GET can be asked for by HEAD; OPTIONS tells a resource's methods, and needs no key. Times are RFC 3339
in UTC. Every error is a problem document (RFC 9457) with the id under which the log knows the request.

A job is `scheduled` until it is due, `queued` until a worker claims it, `running`, perhaps `retrying` until
its next attempt is due, and in the end `succeeded`, `failed` or `cancelled`. These three are final, but for a
retry.
"""


def document(catalog: Catalog, routes: Mapping[str, object]) -> Mapping[str, Any]:
    """The document.

    Args:
        catalog: the kinds, each with a schema of its own for submissions.
        routes: template → resource.

    Raises:
        KeyError: a route is not described in `api.operations`.
    """
    schemas = Schemas(_types(), catalog)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobyard",
            "version": "1",  # of the contract, as in the paths, not of the software
            "summary": "A self-hosted job platform.",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {template: _path(template, resource, schemas) for template, resource in routes.items()},
        "webhooks": {name: {"post": _webhook(name, told, schemas)} for name, told in EVENTS.items()},
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {_KEY: {"type": "http", "scheme": "bearer", "description": _KEYS}},
        },
    }


def _types() -> Iterator[type]:
    """What the operations take and answer as JSON."""
    yield ProblemDocument
    yield from (type(told.example) for told in EVENTS.values())
    for operation in OPERATIONS.values():
        yield from (type_ for _, type_ in operation.answers.values() if type_)
        if operation.body not in (None, bytes):
            yield operation.body


def _path(template: str, resource: object, schemas: Schemas) -> Params:
    operations = {
        method: _operation(template, OPERATIONS[template, method], schemas)
        for method in _METHODS
        if hasattr(resource, f"on_{method}")
    }
    return operations | {"parameters": [_part(name) for name in _FIELD.findall(template)]}


def _part(name: str) -> Params:
    """A part of a path: an id, or the name that its owner gave something."""
    is_id = name.endswith("_id")
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"The {name.removesuffix('_id')}'s id." if is_id else "Its name.",
        "schema": {"type": "string", "format": "uuid"} if is_id else {"type": "string", "minLength": 1},
        "example": _NAMED.get(name, "0190a7c0-0000-7000-8000-000000000000"),
    }


def _operation(template: str, operation: Operation, schemas: Schemas) -> Params:
    described: Params = {
        "operationId": operation.name,
        "tags": [_FIELD.sub("", template.removeprefix("/v1")).strip("/").partition("/")[0]],
        "summary": operation.summary,
        "parameters": [*_query(operation), *_request_headers(operation)],
        "responses": {**_answers(operation, schemas), **_problems(operation, schemas)},
        # Of a bearer scheme these are the roles that it takes (OpenAPI 3.1, section 4.8.30).
        "security": [] if operation.scope is None else [{_KEY: [operation.scope.value]}],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is bytes:
        described["requestBody"] = _content(_BYTES, {}, required=False)  # an empty file is none
    elif operation.body is not None:
        described["requestBody"] = _content(
            JSON, schemas.of(operation.body), operation.example, required=True
        )
    if operation.lines is not None:
        described["requestBody"]["content"][NDJSON] = {"schema": schemas.of(operation.lines)}
    if operation.callbacks:
        described["callbacks"] = {
            name: {_CALLBACK: {"$ref": f"#/webhooks/{name}"}} for name in operation.callbacks
        }
    return described


def _webhook(name: str, told: Callback, schemas: Schemas) -> Params:
    """A message that Jobyard posts, as an operation of whoever receives it."""
    return {
        "operationId": _camel(name),
        "tags": ["callbacks"],
        "summary": told.summary,
        "description": told.description,
        "parameters": [
            {"name": header.name, "in": "header", "required": True, **_header(header)} for header in HEADERS
        ],
        "requestBody": _content(
            JSON, schemas.of(type(told.example)), msgspec.to_builtins(told.example), required=True
        ),
        "responses": {status: {"description": meaning} for status, meaning in ANSWERS.items()},
        "security": [],  # the signature tells who it is from
    }


def _camel(name: str) -> str:
    first, *others = name.split(".")
    return first + "".join(word.capitalize() for word in others)


def _query(operation: Operation) -> Iterator[Params]:
    if operation.query is None:
        return
    schema = portable(msgspec.json.schema(operation.query, ref_template=REFERENCE))
    (own,) = (found for name, found in schema["$defs"].items() if name == operation.query.__name__)
    for name, field in own["properties"].items():
        inner = dict(field)
        yield {
            "name": name,
            "in": "query",
            "required": name in own.get("required", ()),
            "description": inner.pop("description"),
            "schema": _without_null(inner),
        }


def _without_null(schema: Schema) -> Schema:
    """A parameter that is left out is not null: a query string knows no null."""
    kept = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    choices = [choice for choice in kept.pop("anyOf", ()) if choice != {"type": "null"}]
    if not choices:
        return kept
    return {**kept, **choices[0]} if len(choices) == 1 else {**kept, "anyOf": choices}


def _request_headers(operation: Operation) -> Iterator[Params]:
    for header in (*operation.headers, REQUEST_ID):
        yield {"name": header.name, "in": "header", "required": False, **_header(header)}


def _answers(operation: Operation, schemas: Schemas) -> Params:
    answers = {}
    for status, (meaning, type_) in operation.answers.items():
        answer = {"description": meaning, "headers": _answer_headers(operation, status)}
        if type_ is not None:
            shown = operation.shown.get(status)
            answer |= _content(JSON, schemas.of(type_), None if shown is None else msgspec.to_builtins(shown))
        elif status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            answer |= _content("*/*", {})
        answers[str(status)] = answer
    return answers


def _problems(operation: Operation, schemas: Schemas) -> Params:
    schema = schemas.of(ProblemDocument)
    return {
        str(status): {
            "description": meaning,
            "headers": _answer_headers(operation, status),
            **_content(MEDIA_TYPE, schema, _problem(status, meaning, operation)),
        }
        for status, meaning in operation.all_problems().items()
    }


def _problem(status: int, meaning: str, operation: Operation) -> object:
    """An example of a problem: of the first type that its meaning names."""
    code = next((word for word in _CODE.findall(meaning) if word in TITLES), "")
    refused = _refused(status, operation) if code == "invalid-fields" else None
    return msgspec.to_builtins(
        ProblemDocument(
            type=uri(code),
            title=TITLES[code] if code else HTTPStatus(status).phrase,
            status=status,
            detail=f"{refused.field}: {refused.reason}" if refused else _CODED.sub("", meaning),
            request_id=str(REQUEST_ID.example),
            errors=[refused] if refused else None,
        )
    )


def _refused(status: int, operation: Operation) -> FieldError | None:
    """A field of the operation that cannot be accepted."""
    if status == HTTPStatus.BAD_REQUEST:
        return _NO_SIZE if operation.query and "page_size" in operation.query.__struct_fields__ else None
    return _REFUSED.get(operation.body or object)


def _answer_headers(operation: Operation, status: int) -> Params:
    return {header.name: _header(header) for header in operation.answer_headers(status)}


def _header(header: Header) -> Params:
    return {"description": header.description, "schema": header.schema, "example": header.example}


def _content(media_type: str, schema: Schema, example: object = None, **more: object) -> Params:
    media: Params = {"schema": schema} | ({} if example is None else {"example": example})
    return {"content": {media_type: media}, **more}
