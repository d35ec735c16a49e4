"""Schemas of payloads in which any value may be a reference to what another job makes.

Beside the schema of a payload stands a second one, for jobs that come after others: so that who needs no
references, and what is made of the description for him, keeps the plain types.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

Schema = Mapping[str, Any]
Components = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
NAME = "Reference"
PLAIN = "x-without-references"  # leads from the second schema to the first

_SUFFIX = "WithReferences"
_ABOUT = ("title", "description", "examples", "default")  # what is said of a value, whatever it is
_JOB = "Id of a job that this one comes after, or inside of a batch its `name`: one of those in `after`."


class ResultReference(msgspec.Struct, forbid_unknown_fields=True):
    """A part of another job's result."""

    job: Annotated[str, Meta(description=_JOB, examples=["fetch"])] = msgspec.field(name="$from")
    result: Annotated[
        str,
        Meta(
            pattern=r"^(?:/(?:[^~/]|~[01])*)*$",
            description="Which part, as a JSON Pointer (RFC 6901); empty: all of it.",
            examples=["/rows/0/id"],
        ),
    ]


class ArtifactReference(msgspec.Struct, forbid_unknown_fields=True):
    """The id of another job's artifact."""

    job: Annotated[str, Meta(description=_JOB, examples=["fetch"])] = msgspec.field(name="$from")
    artifact: Annotated[str, Meta(description="The artifact's name.", examples=["body"])]


TYPES: Final = (ResultReference, ArtifactReference)


def describe(references: Sequence[Schema]) -> Schema:
    """The component `Reference`: any of these."""
    return {
        "title": NAME,
        "description": "Stands in a payload for what another job makes; filled in before this one runs.",
        "anyOf": list(references),
    }


def payload(name: str, components: Components) -> Schema:
    """The schema of a payload, given its component's name: plain, with references in it, or one itself."""
    return {"anyOf": [_reference(name), {"$ref": _referring(name, components)}, _reference(NAME)]}


def _referring(name: str, components: Components) -> str:
    """Where the second schema of a component stands; it is made where there is none yet."""
    plain = components[name]
    second = name + _SUFFIX
    if "properties" not in plain:
        second = name
    elif second not in components:
        components[second] = {}  # for a type within itself
        components[second] = {
            **_inside(plain, components),
            "title": second,
            "description": f"`{name}`, any value of which may be a reference.",
            PLAIN: _reference(name),
        }
    return REFERENCE.format(name=second)


def _inside(schema: Schema, components: Components) -> dict[str, Any]:
    made = {key: part for key, part in schema.items() if key != "discriminator"}
    if "$ref" in made:
        made["$ref"] = _referring(made["$ref"].rpartition("/")[2], components)
    for key in ("anyOf", "oneOf"):
        if key in made:
            made[key] = [_inside(choice, components) for choice in made[key]]
    if "properties" in made:
        made["properties"] = {name: _or(part, components) for name, part in made["properties"].items()}
    if "prefixItems" in made:
        made["prefixItems"] = [_or(part, components) for part in made["prefixItems"]]
    for key in ("items", "additionalProperties"):
        if isinstance(made.get(key), Mapping):
            made[key] = _or(made[key], components)
    return made


def _or(schema: Schema, components: Components) -> Schema:
    """A value or a reference."""
    inside = _inside(schema, components)
    about = {key: inside.pop(key) for key in _ABOUT if key in inside}
    if not inside:
        return about  # anything, and so a reference too
    choices = inside["anyOf"] if inside.keys() == {"anyOf"} else [inside]
    return {**about, "anyOf": [*choices, _reference(NAME)]}


def _reference(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}
