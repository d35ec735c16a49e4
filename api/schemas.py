"""JSON Schemas of what goes in and out, from the very types that decode and encode, and from the catalog.

A submission, alone, in a batch or of a schedule, is described once for each kind, its payload typed and its
name fixed, and so is a job's result.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api import referring
from api.batching import BatchJob, BatchSubmission
from api.referring import REFERENCE, Schema
from api.representations import Act, Attempt, Job
from api.scheduling import ScheduleWish
from worker.catalog import AnyKind, Catalog
from worker.contract import KindError
from worker.contract.payload import Payload
from worker.enqueue import Submission

_NOT_BEFORE_NEWLINE = r"(?!\n)"

_INPUT = "Its input."
_REFERRING = (
    " Where the job comes after others, any value in it may be a reference instead to what one of"
    ' them makes: `{"$from": job, "result": pointer}` or `{"$from": job, "artifact": name}`.'
)

_FORMS: tuple[type[msgspec.Struct], ...] = (Submission, BatchJob, ScheduleWish)

# What the example of a form has beside kind and payload.
_MORE: Mapping[type[msgspec.Struct], Mapping[str, Any]] = {
    ScheduleWish: {"name": "weekday-rates", "cron": "0 6 * * MON-FRI", "timezone": "Europe/Berlin"}
}

# An instance of a kind that was taken away since, or of its earlier version.
_OUTGROWN = {
    "type": "object",
    "description": "With references, or of a kind that has changed since, or is no more.",
}


class Schemas:
    """The schemas of all types that the operations and the kinds name.

    Args:
        types: what the operations take and answer.
        catalog: the kinds.

    Raises:
        KindError: a type of a kind has a name that the description needs.
    """

    def __init__(self, types: Iterable[type], catalog: Catalog) -> None:
        self._forms = {form: _of_kinds(form, catalog) for form in _FORMS}
        submissions = [type_ for types_ in self._forms.values() for type_ in types_.values()]
        payloads = [kind.payload_type for kind in catalog.values()]
        results = [kind.result_type for kind in catalog.values() if kind.result_type]
        own = [*self._forms, Job, Attempt, Act, BatchSubmission, *referring.TYPES]
        named = list(dict.fromkeys([*own, *types, *submissions, *payloads, *results]))
        references, components = msgspec.json.schema_components(named, ref_template=REFERENCE)
        self.components = portable(components)
        if referring.NAME in self.components:
            raise KindError(f"{referring.NAME}: a name of the API's own; give your type another one")
        self._references = dict(zip(named, references, strict=True))
        self.components[referring.NAME] = referring.describe([self.of(type_) for type_ in referring.TYPES])
        for form in self._forms:
            self._describe_submissions(form, catalog)
        self._describe_jobs(catalog)
        # In the type itself each job is raw, so that one after the other is checked.
        self._component(BatchSubmission)["properties"]["jobs"]["items"] = self.of(BatchJob)

    def of(self, type_: type) -> Schema:
        """The schema of a type that was given, or a reference to it."""
        return self._references[type_]

    def _name(self, type_: type) -> str:
        """Where the schema of a type stands: where several have one name, their modules' stand before it."""
        reference: str = self.of(type_)["$ref"]
        return reference.rpartition("/")[2]

    def _component(self, type_: type) -> dict[str, Any]:
        """The schema of a type, to say more in it."""
        found: dict[str, Any] = self.components[self._name(type_)]
        return found

    def _describe_submissions(self, form: type[msgspec.Struct], catalog: Catalog) -> None:
        """A form of submissions is any of the kinds' own, told apart by `kind`."""
        mapping = {name: self.of(type_)["$ref"] for name, type_ in self._forms[form].items()}
        self.components[self._name(form)] = {
            "title": form.__name__,
            "description": form.__doc__,
            "oneOf": [{"$ref": reference} for reference in mapping.values()],
            "discriminator": {"propertyName": "kind", "mapping": mapping},
        }
        for kind in catalog.values():
            own = self._component(self._forms[form][kind.name])
            if "after" in form.__struct_fields__:
                self._allow_references(own["properties"]["payload"])
            own["title"] = kind.name
            own["description"] = kind.description
            own["examples"] = [{**_MORE.get(form, {}), **example(kind)}]
            own["x-example-needs"] = kind.payload_type.NEEDS or None
            own["x-queue"] = kind.queue.name
            own["x-max-attempts"] = kind.max_attempts
            own["x-deadline"] = kind.deadline
            own["x-result"] = self.of(kind.result_type) if kind.result_type else None

    def _allow_references(self, payload: dict[str, Any]) -> None:
        """What comes after other jobs may take what they make."""
        name = payload.pop("$ref").rpartition("/")[2]
        payload.update(referring.payload(name, self.components))
        payload["description"] = _INPUT + _REFERRING

    def _describe_jobs(self, catalog: Catalog) -> None:
        for event, what in ((Attempt, "That it is a run."), (Act, "That it is an act.")):
            self._component(event)["properties"]["event"]["description"] = what
        fields = self._component(Job)["properties"]
        payloads = [self.of(kind.payload_type) for kind in catalog.values()]
        results = [self.of(kind.result_type) for kind in catalog.values() if kind.result_type]
        for field, known in (("payload", payloads), ("result", results)):
            fields[field]["anyOf"] = [*_once(known), _OUTGROWN, {"type": "null"}]


def portable(schema: Any) -> Any:
    """A schema of msgspec's for readers whose regular expressions are not Python's.

    Elsewhere `$` stands for the end alone (ECMA-262), and many engines know no look-ahead; Python needs
    one, for its `$` lets a last newline pass.
    """
    if isinstance(schema, list):
        return [portable(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: portable(value) for name, value in schema.items()}
    if isinstance(pattern := made.get("pattern"), str):
        made["pattern"] = pattern.removesuffix(_NOT_BEFORE_NEWLINE)
    return made


def example(kind: AnyKind) -> Mapping[str, Any]:
    """A submission of this kind as a client may send it."""
    return {"kind": kind.name, "payload": kind.payload_type.EXAMPLE or _required(kind.payload_type)}


def _required(payload_type: type[Payload]) -> Mapping[str, Any]:
    (schema,), components = msgspec.json.schema_components([payload_type], ref_template="{name}")
    schema = components[schema["$ref"]]
    return {
        name: schema["properties"][name]["examples"][0]
        for name in schema.get("required", ())
        if "examples" in schema["properties"][name]
    }


def _of_kinds(form: type[msgspec.Struct], catalog: Catalog) -> Mapping[str, type[msgspec.Struct]]:
    return {kind.name: _submission(kind, form) for kind in catalog.values()}


def _submission(kind: AnyKind, form: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """A form of submissions for one kind: its payload typed, its name fixed."""
    own = {
        "kind": Annotated[Literal[kind.name], Meta(description="What to do.")],
        "payload": Annotated[kind.payload_type, Meta(description=_INPUT)],
    }
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


def _once(schemas: Iterable[Schema]) -> list[Schema]:
    return list({str(schema): schema for schema in schemas}.values())
