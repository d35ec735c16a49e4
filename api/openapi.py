"""The OpenAPI 3.1 document: made of the routes, the catalog and the very types that decode and encode."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from api.applications import Params
from api.batching import BatchJob, BatchSubmission
from api.errors import MEDIA_TYPE, ProblemDocument
from api.operations import OPERATIONS, Operation
from api.resources.acts import Act
from worker.catalog import AnyKind, Catalog
from worker.enqueue import Submission

PATH = "/openapi.json"

_METHODS = ("get", "post")
_FIELD = re.compile(r"{(\w+)}")
_REFERENCE = "#/components/schemas/{name}"
_PROBLEM = "ProblemDocument"
_JSON = "application/json"
_BYTES = "application/octet-stream"

_EVERYWHERE = {
    400: "The request is malformed.",
    500: "Something broke that should not have.",
    503: "The ledger does not answer; try again.",
}
_UNAUTHORIZED = {
    401: "There is no API key, or it is not good.",
    403: "The key does not have the scope.",
    429: "Too many requests with this key; `Retry-After` tells when to go on.",
}


def document(catalog: Catalog, routes: Mapping[str, object]) -> Mapping[str, Any]:
    """The document.

    Args:
        catalog: the kinds, each with a schema of its own for submissions.
        routes: template → resource.

    Raises:
        KeyError: a route is not described in `api.operations`.
    """
    schemas = _Schemas(
        {kind.name: _submission(kind, Submission) for kind in catalog.values()},
        {kind.name: _submission(kind, BatchJob) for kind in catalog.values()},
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobyard",
            "version": "1",  # of the contract, as in the paths, not of the software
            "description": "Submit jobs, follow them, read their results.",
        },
        "paths": {template: _path(template, resource, schemas) for template, resource in routes.items()},
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


class _Schemas:
    """The schemas of all types that the routes and the kinds name."""

    def __init__(self, submissions: Mapping[str, type], batch_jobs: Mapping[str, type]) -> None:
        types = [
            *submissions.values(),
            *batch_jobs.values(),
            ProblemDocument,
            Act,
            BatchSubmission,
            *(of for operation in OPERATIONS.values() for _, of in operation.answers.values() if of),
        ]
        references, components = msgspec.json.schema_components(types, ref_template=_REFERENCE)
        self.components = components
        self._references = dict(zip(types, references, strict=True))
        self._submissions = submissions
        self._batch_jobs = batch_jobs
        # In the type itself each job is raw, so that one after the other is checked.
        components[BatchSubmission.__name__]["properties"]["jobs"]["items"] = self.batch_job()

    def of(self, type_: type) -> Mapping[str, Any]:
        return self._references[type_]

    def submission(self) -> Mapping[str, Any]:
        """Any of the kinds' submissions, told apart by `kind`."""
        return self._one_of(self._submissions)

    def batch_job(self) -> Mapping[str, Any]:
        """Any of the kinds' submissions in a batch."""
        return self._one_of(self._batch_jobs)

    def _one_of(self, types: Mapping[str, type]) -> Mapping[str, Any]:
        mapping = {name: self.of(type_)["$ref"] for name, type_ in types.items()}
        return {
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "kind", "mapping": mapping},
        }


def _submission(kind: AnyKind, form: type[Submission]) -> type[msgspec.Struct]:
    """A form of submissions for one kind: its payload typed, its name fixed."""
    own = {"kind": Literal[kind.name], "payload": kind.payload_type}
    fields = [
        (field.name, own.get(field.name, field.type), _default(field, kind))
        for field in msgspec.structs.fields(form)
    ]
    name = "".join(word.capitalize() for word in re.split(r"[._]", kind.name)) + form.__name__
    return msgspec.defstruct(
        name,
        [
            (name, type_) if default is msgspec.NODEFAULT else (name, type_, default)
            for name, type_, default in fields
        ],
        kw_only=True,
        forbid_unknown_fields=True,
    )


def _default(field: msgspec.structs.FieldInfo, kind: AnyKind) -> Any:
    if field.name == "payload":
        optional = not any(inner.required for inner in msgspec.structs.fields(kind.payload_type))
        return msgspec.field(default_factory=dict) if optional else msgspec.NODEFAULT
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _path(template: str, resource: object, schemas: _Schemas) -> Params:
    operations = {
        method: _operation(template, method, OPERATIONS[template, method], schemas)
        for method in _METHODS
        if hasattr(resource, f"on_{method}")
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _FIELD.findall(template)
    ]
    return operations | ({"parameters": parameters} if parameters else {})


def _operation(template: str, method: str, operation: Operation, schemas: _Schemas) -> Params:
    described: Params = {
        "operationId": method + re.sub(r"\W+", "_", template).rstrip("_"),
        "summary": operation.summary,
        "parameters": [*_query(operation), *_headers(operation)],
        "responses": {**_answers(operation, schemas), **_problems(operation)},
        # Of a bearer scheme these are the roles that it takes (OpenAPI 3.1, section 4.8.30).
        "security": [] if operation.scope is None else [{"key": [operation.scope.value]}],
    }
    if operation.body == "submission":
        described["requestBody"] = _content(_JSON, schemas.submission(), required=True)
    elif operation.body == "batch":
        described["requestBody"] = {
            "content": {
                _JSON: {"schema": schemas.of(BatchSubmission)},
                "application/x-ndjson": {"schema": schemas.batch_job()},
            },
            "required": True,
        }
    elif operation.body == "act":
        described["requestBody"] = _content(_JSON, schemas.of(Act), required=True)
    elif operation.body == "bytes":
        described["requestBody"] = _content("*/*", {}, required=True)
    return described


def _query(operation: Operation) -> Iterator[Params]:
    if operation.query is None:
        return
    schema = msgspec.json.schema(operation.query, ref_template=_REFERENCE)
    (own,) = (found for name, found in schema["$defs"].items() if name == operation.query.__name__)
    for name, field in own["properties"].items():
        yield {"name": name, "in": "query", "required": name in own.get("required", ()), "schema": field}


def _headers(operation: Operation) -> Iterator[Params]:
    for name, description in operation.headers:
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _answers(operation: Operation, schemas: _Schemas) -> Params:
    answers = {}
    for status, (meaning, type_) in operation.answers.items():
        if type_ is not None:
            answers[str(status)] = {"description": meaning, **_content(_JSON, schemas.of(type_))}
        elif status == 304:  # noqa: PLR2004 - it has no content
            answers[str(status)] = {"description": meaning}
        else:
            answers[str(status)] = {"description": meaning, **_content(_BYTES, {})}
    return answers


def _problems(operation: Operation) -> Params:
    problems = {**_EVERYWHERE, **({} if operation.public else _UNAUTHORIZED), **operation.problems}
    schema = {"$ref": _REFERENCE.format(name=_PROBLEM)}
    return {
        str(status): {"description": meaning, **_content(MEDIA_TYPE, schema)}
        for status, meaning in sorted(problems.items())
    }


def _content(media_type: str, schema: Mapping[str, Any], **more: object) -> Params:
    return {"content": {media_type: {"schema": schema}}, **more}
