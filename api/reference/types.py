"""JSON Schemas in words: what a field may hold, and within which limits."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from api.reference.elements import Content, Row, coded, element, link

Schema = Mapping[str, Any]

_LIMITS = {
    "minLength": "at least {} long",
    "maxLength": "at most {} long",
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} members",
}


def fields(schema: Schema) -> list[Row]:
    """Each field of an object: its name, and its type, limits, meaning and example."""
    required = schema.get("required", ())
    return [
        ([element("code", name), _must(name in required)], described(field))
        for name, field in schema.get("properties", {}).items()
    ]


def described(field: Schema, example: object = None) -> list[Content]:
    """A field's meaning, type and limits, and an example of it."""
    found = field.get("examples", [example])[0]
    return [
        *coded(field.get("description", "")),
        element("div", *type_of(field), *_limits(field), class_="type"),
        None
        if found is None
        else element("div", "for instance ", element("code", _json(found)), class_="type"),
    ]


def type_of(schema: Schema) -> list[Content]:
    """The type, with a link where it is one of the page's own."""
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return [link(f"schema-{name}", name)]
    if "anyOf" in schema:
        return _joined(schema["anyOf"])
    if "enum" in schema:
        return [", ".join(map(str, schema["enum"]))]
    if schema.get("type") == "array":
        return ["array of ", *type_of(schema.get("items", {}))]
    if isinstance(values := schema.get("additionalProperties"), Mapping):
        return ["object of ", *type_of(values)]
    return [" ".join(filter(None, (schema.get("type", "any"), schema.get("format"))))]


def name_of(reference: str) -> str:
    """The type that a reference leads to."""
    return reference.rpartition("/")[2]


def _json(value: object) -> str:
    """As a client writes it; a text without its quotes, for it may stand in a path or a header."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(choices: list[Schema]) -> list[Content]:
    words: list[Content] = []
    for choice in choices:
        words += [" or "] if words else []
        words += [*type_of(choice), *_limits(choice)]
    return words


def _limits(schema: Schema) -> Iterator[Content]:
    for name, words in _LIMITS.items():
        if name in schema:
            yield f", {words.format(schema[name])}"
    if "pattern" in schema:
        yield ", matching "
        yield element("code", schema["pattern"])
    if schema.get("default") not in (None, [], {}):
        yield f", {json.dumps(schema['default'])} unless given"


def _must(required: bool) -> Content:  # noqa: FBT001 - a mark or none
    return element("span", "required", class_="must") if required else None
