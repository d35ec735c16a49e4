"""What of a document does not fit the fields of its structure: all of it, and not the first alone."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import msgspec

from worker.contract.misfits import misfit
from worker.definitions.complaint import Complaint

_SECRET = re.compile(r"(?:.*_)?(?:ur[il]|dsn|pass(?:word|wd)?|secret|token|credentials?|api_?key)")
_LOGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@")
_NO_SECRETS = "secrets stand in no file; the database of a source is the variable JOBYARD_SOURCE_<NAME>_URL"


def misfits(document: object, kind: type[msgspec.Struct], path: tuple[str, ...] = ()) -> Iterator[Complaint]:
    """Unknown and missing fields, and values of a wrong type, with the paths of each."""
    if not isinstance(document, dict):
        yield Complaint(path, "expected a table")
        return
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name in document.keys() - fields:
        yield Complaint((*path, name), _unknown(name, list(fields)))
    for name, field in fields.items():
        if name in document:
            yield from _misfit(document[name], field.type, (*path, name))
        elif field.required:
            yield Complaint(path, f"`{name}` is missing")


def logins(document: object, path: tuple[str, ...] = ()) -> Iterator[Complaint]:
    """Texts that hold a URL with a password."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from logins(value, (*path, name))
    elif isinstance(document, list):
        for item in document:
            yield from logins(item, path)
    elif isinstance(document, str) and _LOGIN.search(document):
        yield Complaint(path, f"holds a URL with a password: {_NO_SECRETS}")


def _unknown(name: str, known: list[str]) -> str:
    if _SECRET.fullmatch(name.lower()):
        return f"there is no field `{name}`: {_NO_SECRETS}"
    return f"there is no field `{name}`; there are: {', '.join(known)}"


def _misfit(value: object, type_: Any, path: tuple[str, ...]) -> Iterator[Complaint]:
    named = _named_parts(type_)
    if named is not None and isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _misfit(name, named[0], (*path, name))
            yield from misfits(inner, named[1], (*path, name))
        return
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        yield Complaint(path, misfit(error, type_).reason)


def _named_parts(type_: Any) -> tuple[Any, type[msgspec.Struct]] | None:
    """What names, and which structures under them, a field holds, where it holds such."""
    plain = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    if get_origin(plain) is not dict:
        return None
    name, part = get_args(plain)
    return (name, part) if isinstance(part, type) and issubclass(part, msgspec.Struct) else None
