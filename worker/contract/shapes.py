"""Shapes: what a payload's or a result's type says of a place inside of it."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec import inspect

_LISTS = (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")  # as in a JSON Pointer (RFC 6901, section 4)
_ANYTHING = (inspect.AnyType, inspect.RawType, inspect.CustomType)


def reach(root: object, path: Sequence[str | int]) -> list[inspect.Type]:
    """The types that a value at a path can have.

    Args:
        root: a type that msgspec knows.
        path: names of fields and numbers of elements; a JSON Pointer writes those as text.

    Returns:
        Several where the types are a union; none where there can be no such place.
    """
    found = [_type_info(root)]
    for step in path:
        if found and all(isinstance(each, _ANYTHING) for each in found):
            break  # what is inside of anything is anything, too
        inside = (inner for outer in found for inner in _inside(outer, step))
        found = list({id(inner): inner for inner in inside}.values())  # or unions of unions multiply
    return found


def examples(type_: inspect.Type) -> Iterator[Any]:
    """The examples that a type is documented with."""
    if isinstance(type_, inspect.Metadata):
        yield from (type_.extra_json_schema or {}).get("examples", ())
        yield from examples(type_.type)
    elif isinstance(type_, inspect.UnionType):
        for choice in type_.types:
            yield from examples(choice)
    elif isinstance(type_, inspect.LiteralType):
        yield type_.values[0]
    elif isinstance(type_, inspect.EnumType):
        yield next(iter(type_.cls)).value


def choices(type_: inspect.Type) -> Iterator[inspect.Type]:
    """The types of a union, without their constraints."""
    if isinstance(type_, inspect.Metadata):
        yield from choices(type_.type)
    elif isinstance(type_, inspect.UnionType):
        for choice in type_.types:
            yield from choices(choice)
    else:
        yield type_


def values(type_: inspect.Type) -> Iterator[object]:
    """The values that a type lists, where it has no others of their kind."""
    for choice in choices(type_):
        if isinstance(choice, inspect.LiteralType):
            yield from choice.values
        elif isinstance(choice, inspect.EnumType):
            yield from (member.value for member in choice.cls)


def fields(type_: inspect.Type) -> Iterator[str]:
    """The names of the fields that a type's objects have."""
    for choice in choices(type_):
        if isinstance(choice, inspect.StructType):
            yield from (field.encode_name for field in choice.fields)


_type_info = lru_cache(maxsize=256)(inspect.type_info)  # a millisecond for a large type


def _inside(type_: inspect.Type, step: str | int) -> Iterator[inspect.Type]:
    if isinstance(type_, inspect.Metadata):
        yield from _inside(type_.type, step)
    elif isinstance(type_, inspect.UnionType):
        for choice in type_.types:
            yield from _inside(choice, step)
    elif isinstance(type_, inspect.StructType):
        yield from (field.type for field in type_.fields if field.encode_name == step)
    elif isinstance(type_, inspect.DictType):
        yield type_.value_type
    elif isinstance(type_, _LISTS) and _INDEX.fullmatch(str(step)):
        yield type_.item_type
    elif isinstance(type_, inspect.TupleType) and _INDEX.fullmatch(str(step)):
        yield from type_.item_types[int(step) : int(step) + 1]
    elif isinstance(type_, _ANYTHING):
        yield type_
