"""References: a place in a payload that another job is to fill with its result, or with an artifact's id.

`{"$from": "<job>", "result": "/json/pointer"}` stands for a part of the job's result (RFC 6901; an empty
pointer: all of it), `{"$from": "<job>", "artifact": "body"}` for the id of its artifact of that name, which
is what payloads call an artifact by.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from worker.contract.extent import DEEPEST

MARK = "$from"

_MOST = 50  # references in one payload
_ESCAPES = re.compile(r"~(?![01])")

Path = tuple[str | int, ...]


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """What another job is asked for: one of the last two."""

    job: str  # its id, or its name inside of a batch
    pointer: tuple[str, ...] | None = None  # into its result
    artifact: str | None = None  # its name


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A part of another job's result that a payload takes, once its job is known."""

    path: Path  # where it stands in the payload
    job: UUID
    pointer: tuple[str, ...]


class BadReference(ValueError):  # noqa: N818 - reads as what it is
    """An object with `$from` in it is no reference.

    Args:
        path: where it stands.
        reason: what is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{written(path)}: {reason}")
        self.path = path
        self.reason = reason


def references_in(document: object) -> dict[Path, Reference]:
    """All references of a decoded payload, by where they stand.

    Raises:
        BadReference: one is malformed, or there are too many.
    """
    found: dict[Path, Reference] = {}
    for path, value in _objects(document, ()):
        if len(found) == _MOST:
            raise BadReference(path, f"is more than the {_MOST} references that a payload may hold")
        found[path] = _reference(path, value)
    return found


def replaced(document: Any, values: Mapping[Path, object]) -> Any:
    """The payload with each of these places filled; what is not on the way to one is left as it is."""
    for path, value in values.items():
        document = _with(document, path, value)
    return document


def pointed(document: object, pointer: Sequence[str]) -> object:
    """What a JSON Pointer names in a decoded document (RFC 6901, section 4).

    Raises:
        LookupError: there is nothing.
    """
    for token in pointer:
        if isinstance(document, dict):
            document = document[token]
        elif isinstance(document, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", token):
            document = document[int(token)]
        else:
            raise LookupError(token)
    return document


def written(path: Path) -> str:
    """A path as errors show it: `payload.attachments[0].artifact`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "payload" + "".join(steps)


def _with(document: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = _with(document[path[0]], path[1:], value)
    return copy


def _objects(value: object, path: Path) -> Iterator[tuple[Path, dict[str, object]]]:
    if isinstance(value, dict) and MARK in value:
        yield path, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _objects(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _objects(inner, (*path, index))


def _reference(path: Path, value: Mapping[str, object]) -> Reference:
    wants = value.keys() - {MARK}
    if wants not in ({"result"}, {"artifact"}) or not all(isinstance(part, str) for part in value.values()):
        raise BadReference(path, f'a reference is {{"{MARK}": job, "result": pointer}} or'
                           f' {{"{MARK}": job, "artifact": name}}, all of them text')  # fmt: skip
    job = str(value[MARK])
    if "artifact" in wants:
        return Reference(job=job, artifact=str(value["artifact"]))
    return Reference(job=job, pointer=_pointer(path, str(value["result"])))


def _pointer(path: Path, text: str) -> tuple[str, ...]:
    if _ESCAPES.search(text) or (text and not text.startswith("/")):
        raise BadReference(path, 'result: is no JSON Pointer; write "" for all, or "/field/0"')
    if text.count("/") > DEEPEST:
        raise BadReference(path, f"result: goes down more than {DEEPEST} levels")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])
