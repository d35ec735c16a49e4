"""What does not fit its type, in the words of JSON: where, and why.

msgspec speaks of Python's types, and does not say which values or fields there would be; whoever sent JSON
knows neither. Nor does a regular expression tell a reader much: a type with one may have a sentence of its
own for what does not fit, `Meta(pattern=..., extra={"misfit": "is no name of a table"})`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec.inspect import DictType, Metadata, StrType, Type, UnionType

from worker.contract.shapes import fields, reach, values

# msgspec says where at the end of its message, and which field in its middle; either may quote the client, at
# any length, so a message is cut before anything else looks at it.
_LONGEST = 300  # characters of a reason, and of a path
_AT = " - at `"
_WHERE = re.compile(r"(?:key` in `)?\$([^`]*)`?")
_STEP = re.compile(r"\[([^\]]*)\]|\.([^.\[]*)")
_SAID = re.compile(r"([a-z][a-z0-9_]*(?:\[[0-9]+\])?): ")  # how the checks of a payload itself begin
_PATTERN = "Expected `str` matching regex "
_NOT_BEFORE_NEWLINE = r"(?!\n)"  # Python needs it, and it says nothing to a reader
_WHICH = re.compile(r"Object (?:contains unknown|missing required) field `(.*)[`…]", re.DOTALL)

# Types as JSON calls them, and formats of strings as JSON Schema does; other names are the same there.
_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "boolean",
        "bytes": "base64",
        "datetime": "date-time",
        "decimal": "number",
        "float": "number",
        "int": "integer",
        "str": "string",
    }
)
UNKNOWN = "Object contains unknown field "  # how msgspec says so

# What is none of these, with an example of each as RFC 3339 writes it.
TIMES: Mapping[str, str] = MappingProxyType(
    {"datetime": "2026-11-23T09:00:00Z", "date": "2026-11-23", "time": "09:00:00Z"}
)
_TIME = re.compile(r"(?:Invalid RFC3339 encoded |Expected `)(datetime|date|time)\b")
_TYPES = re.compile(r"(?:^Expected|, got) `[a-z |]+`")
_NAME = re.compile("|".join(_NAMES))


class Misfit(NamedTuple):
    """Something that does not fit."""

    place: str  # its path from the checked value on: `.tags[0]`; empty: the value itself
    reason: str


def misfit(error: msgspec.ValidationError, root: object) -> Misfit:
    """What msgspec found wrong with a value.

    Args:
        error: what it raised.
        root: the type that the whole value should have had.
    """
    reason, _, where = str(error).rpartition(_AT)
    found = _WHERE.fullmatch(where[:_LONGEST]) if where.endswith("`") else None
    reason = shortened(reason if found else str(error))
    place = found[1] if found else ""
    if said := _SAID.match(reason):
        return Misfit(f"{place}.{said[1]}", reason[said.end() :])
    named = _WHICH.fullmatch(reason)
    return Misfit(place + (f".{named[1]}" if named else ""), _told(reason, reach(root, steps_of(place))))


def steps_of(place: str) -> list[str]:
    """The steps of a path; `...` stands for a name that msgspec does not tell."""
    return [index or name for index, name in _STEP.findall(place)]


def shortened(text: str) -> str:
    """What may quote a client, at a length that is worth reading."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _told(reason: str, types: Iterable[Type]) -> str:
    if reason.startswith(_PATTERN):
        return next(chain.from_iterable(map(_pattern_told, types)), "does not match its pattern")
    told = _in_json(reason, types)
    time = _TIME.match(reason)
    return f"{told}; write it as in {TIMES[time[1]]}" if time else told


def _pattern_told(type_: Type, sentence: str | None = None) -> Iterator[str]:
    """What is said where a string does not fit a type's pattern, or a name the one of a dictionary's keys."""
    if isinstance(type_, Metadata):
        yield from _pattern_told(type_.type, (type_.extra or {}).get("misfit", sentence))
    elif isinstance(type_, UnionType):
        for choice in type_.types:
            yield from _pattern_told(choice, sentence)
    elif isinstance(type_, DictType):
        yield from _pattern_told(type_.key_type)
    elif isinstance(type_, StrType) and type_.pattern is not None:
        pattern = type_.pattern.removesuffix(_NOT_BEFORE_NEWLINE)
        yield sentence or f"Expected `string` matching regex '{pattern}'"


def _in_json(reason: str, types: Iterable[Type]) -> str:
    if reason.startswith("Expected `"):
        return _TYPES.sub(lambda found: _NAME.sub(lambda name: _NAMES[name[0]], found[0]), reason)
    if reason.startswith("Invalid enum value "):
        return reason + _listed("allowed are", map(values, types))
    if reason.startswith(UNKNOWN):
        return reason + _listed("there are", map(fields, types))
    return reason


def _listed(words: str, found: Iterable[Iterable[object]]) -> str:
    named = ("null" if each is None else str(each) for each in chain.from_iterable(found))
    listed = ", ".join(dict.fromkeys(named))
    return f"; {words}: {listed}" if listed else ""
