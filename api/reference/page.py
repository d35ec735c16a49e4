"""The page: what can be asked, the kinds of jobs, and the types that go in and out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element, tostring

from api.reference.elements import Content, Row, coded, element, link, prose, sample, table
from api.reference.start import start
from api.reference.style import CSS
from api.reference.types import described, fields, name_of, type_of
from api.referring import PLAIN

Part = Mapping[str, Any]

_PROBLEM = "application/problem+json"


def html(document: Part) -> bytes:
    """The page of an OpenAPI document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{document['info']['title']} API"),
        element("style", CSS),
    )
    shell = element("div", _navigation(document), _main(document), class_="shell")
    page = element("html", head, element("body", shell), lang="en")
    return ("<!doctype html>\n" + tostring(page, encoding="unicode", method="html")).encode()


def _main(document: Part) -> Element:
    info = document["info"]
    return element(
        "main",
        element("h1", f"{info['title']} API"),
        *prose(info["description"]),
        *_keys(document["components"].get("securitySchemes", {})),
        element("p", "For machines: ", element("a", "/openapi.json", href="/openapi.json"), "."),
        *start(),
        element("h2", "Operations", id="operations"),
        *(_operation(*found) for found in _operations(document)),
        element("h2", "Callbacks", id="callbacks"),
        *(_webhook(name, item["post"]) for name, item in document.get("webhooks", {}).items()),
        element("h2", "Kinds of jobs", id="kinds"),
        *(_kind(names, schema) for names, schema in _kinds(document)),
        element("h2", "Types", id="types"),
        *(_type(name, schema, document["components"]["schemas"]) for name, schema in _others(document)),
    )


def _navigation(document: Part) -> Element:
    operations = [
        element("li", link(operation["operationId"], f"{method.upper()} {path}"))
        for path, method, operation in _operations(document)
    ]
    kinds = [element("li", link(f"schema-{names[0]}", kind["title"])) for names, kind in _kinds(document)]
    types = [
        element("li", link(f"schema-{name}", name))
        for name, schema in _others(document)
        if PLAIN not in schema
    ]
    callbacks = [element("li", link(f"callback-{name}", name)) for name in document.get("webhooks", {})]
    lists: tuple[tuple[str, str, list[Element]], ...] = (
        ("start", "Start here", []),
        ("operations", "Operations", operations),
        ("callbacks", "Callbacks", callbacks),
        ("kinds", "Kinds", kinds),
        ("types", "Types", types),
    )
    return element(
        "nav",
        *(
            element("div", element("b", link(target, title)), element("ul", *items))
            for target, title, items in lists
        ),
    )


def _keys(schemes: Part) -> Iterator[Element]:
    for scheme in schemes.values():
        yield element("p", *coded(scheme["description"]))


def _operation(path: str, method: str, operation: Part) -> Element:
    parts: list[Content] = [
        element("h3", element("span", method.upper(), class_=f"method {method}"), element("code", path)),
        *prose(operation["summary"] + "."),
        *prose(operation.get("description", "")),
    ]
    if operation["security"] == []:
        parts.append(element("p", "Needs no key.", class_="quiet"))
    parts += _parameters(operation["parameters"])
    parts += _body(operation)
    parts += _callbacks(operation.get("callbacks", ()))
    answers = operation["responses"].items()
    good = {status: answer for status, answer in answers if _PROBLEM not in answer.get("content", {})}
    bad = {status: answer for status, answer in answers if status not in good}
    parts += [element("h4", "Answers"), table([_answer(*each) for each in good.items()])]
    for answer in good.values():
        for media in answer.get("content", {}).values():
            parts += _samples(media)
    problems = table([_answer(*each) for each in bad.items()])
    parts.append(element("details", element("summary", f"{len(bad)} errors"), problems))
    return element("section", *parts, id=operation["operationId"])


def _parameters(parameters: list[Part]) -> list[Content]:
    rows: list[Row] = [
        (
            [element("code", each["name"]), element("div", f"in {each['in']}", class_="type")],
            described({**each["schema"], "description": each["description"]}, example=each.get("example")),
        )
        for each in parameters
    ]
    return [element("h4", "Parameters"), table(rows)] if rows else []


def _body(operation: Part) -> list[Content]:
    body = operation.get("requestBody")
    if body is None:
        return []
    parts: list[Content] = [element("h4", "Body")]
    for media_type, media in body["content"].items():
        parts.append(element("p", element("code", media_type), " ", *type_of(media["schema"])))
        parts += _samples(media)
    return parts


def _samples(media: Part) -> list[Content]:
    return [sample(media["example"])] if "example" in media else []


def _callbacks(names: Iterable[str]) -> Iterator[Content]:
    """What is posted to the URL that the body names."""
    links = [link(f"callback-{name}", name) for name in names]
    if links:
        yield element("h4", "Posted to its callback")
        yield from (element("p", each) for each in links)


def _webhook(name: str, operation: Part) -> Element:
    answers: list[Row] = [
        ([status], coded(answer["description"])) for status, answer in operation["responses"].items()
    ]
    return element(
        "section",
        element("h3", element("span", "POST", class_="method post"), element("code", name)),
        *prose(operation["summary"] + "."),
        *prose(operation["description"]),
        *_parameters(operation["parameters"]),
        *_body(operation),
        element("h4", "What your answer means"),
        table(answers),
        id=f"callback-{name}",
    )


def _answer(status: str, answer: Part) -> Row:
    words: list[Content] = [*coded(answer["description"])]
    for media_type, media in answer.get("content", {}).items():
        schema = type_of(media["schema"]) if media["schema"] else []
        words.append(element("div", f"{media_type} ", *schema, class_="type"))
    headers = ", ".join(answer.get("headers", ()))
    words.append(element("div", f"headers: {headers}", class_="type"))
    return [status], words


def _kind(names: Sequence[str], schema: Part) -> Element:
    payload = schema["properties"]["payload"]
    result = type_of(schema["x-result"]) if schema["x-result"] else ["none"]
    facts = (
        f"Queue {schema['x-queue']}; {schema['x-max-attempts']} attempts of at most"
        f" {schema['x-deadline']:g} seconds each."
    )
    return element(
        "section",
        element("h3", schema["title"]),
        *prose(schema["description"]),
        element("p", facts, class_="quiet"),
        element("p", "Payload: ", *type_of(payload), ". Result: ", *result, "."),
        element("h4", "Submitted as"),
        *(sample(example) for example in schema["examples"]),
        *prose("It needs: " + needs if (needs := schema["x-example-needs"]) else ""),
        *(element("span", id=f"schema-{name}") for name in names[1:]),
        id=f"schema-{names[0]}",
    )


def _type(name: str, schema: Part, schemas: Part) -> Element:
    parts: list[Content] = [element("h3", name), *prose(schema.get("description", ""))]
    if PLAIN in schema:
        parts.append(element("p", *type_of(schema[PLAIN]), class_="type"))
    elif "properties" in schema:
        parts.append(table(fields(schema)))
    elif "oneOf" in schema:
        known = schema["discriminator"]["mapping"]
        parts.append(table(fields(_common(schemas[name_of(each)] for each in known.values()))))
        parts.append(element("h4", "Kinds"))
        parts.append(table([([kind], type_of({"$ref": each})) for kind, each in known.items()]))
    else:
        parts.append(element("p", *type_of(schema), class_="type"))
    return element("section", *parts, id=f"schema-{name}")


def _operations(document: Part) -> Iterator[tuple[str, str, Part]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                whole = [*item["parameters"], *operation["parameters"]]
                yield path, method, {**operation, "parameters": whole}


def _common(kinds: Iterable[Part]) -> Part:
    """What the submissions of all kinds are made of; their payloads differ."""
    first = next(iter(kinds))
    own = {"kind": {"type": "string"}, "payload": {"type": "object"}}
    common = {
        name: {"description": field.get("description", ""), **own[name]} if name in own else field
        for name, field in first["properties"].items()
    }
    return {"properties": common, "required": ["kind"]}


def _kinds(document: Part) -> list[tuple[list[str], Part]]:
    """Each kind, and the names of its forms: alone, and in a batch."""
    found: dict[str, tuple[list[str], Part]] = {}
    for name, schema in document["components"]["schemas"].items():
        if "x-queue" in schema:
            found.setdefault(schema["title"], ([], schema))[0].append(name)
    return list(found.values())


def _others(document: Part) -> list[tuple[str, Part]]:
    schemas = document["components"]["schemas"].items()
    return [(name, schema) for name, schema in schemas if "x-queue" not in schema]
