"""Payloads as clients send them, made up from the types and constraints that a kind declares."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from worker.catalog import AnyKind

Json = st.SearchStrategy[Any]

_LARGEST = 4  # elements of a collection, so that examples stay readable


def payloads(kind: AnyKind) -> st.SearchStrategy[bytes]:
    """JSON that the kind accepts. What only its `__post_init__` refuses is sorted out."""
    of_type = _strategy(inspect.type_info(kind.payload_type))
    return of_type.map(lambda value: json.dumps(value).encode()).filter(lambda text: _fits(kind, text))


def _fits(kind: AnyKind, text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=kind.payload_type)
    except msgspec.ValidationError:
        return False
    return True


def _strategy(of: inspect.Type) -> Json:  # noqa: PLR0911 - one for each sort of type
    match of:
        case inspect.Metadata(type=inner, extra_json_schema={"examples": examples}):
            # An author's examples say what fits where a pattern or a check cannot be turned around.
            return st.sampled_from(examples) | (st.none() if _optional(inner) else st.nothing())
        case inspect.Metadata(type=inner):
            return _strategy(inner)
        case inspect.StructType(fields=fields):
            return _object(fields)
        case inspect.UnionType(types=types):
            return st.one_of([_strategy(each) for each in types])
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.EnumType(cls=members):
            return st.sampled_from([member.value for member in members])
        case inspect.DictType(key_type=keys, value_type=values):
            return st.dictionaries(_strategy(keys), _strategy(values), max_size=_LARGEST)
    collection = _collection(of)
    return _scalar(of) if collection is None else collection


def _optional(of: inspect.Type) -> bool:
    return isinstance(of, inspect.UnionType) and any(isinstance(t, inspect.NoneType) for t in of.types)


def _object(fields: tuple[inspect.Field, ...]) -> Json:
    required = {field.encode_name: _strategy(field.type) for field in fields if field.required}
    optional = {field.encode_name: _strategy(field.type) for field in fields if not field.required}
    return st.fixed_dictionaries(required, optional=optional)


def _collection(of: inspect.Type) -> Json | None:
    items = getattr(of, "item_type", None)
    if items is None:
        return None
    bounds: Any = of
    return st.lists(
        _strategy(items),
        min_size=bounds.min_length or 0,
        max_size=min(bounds.max_length or _LARGEST, _LARGEST),
    )


def _scalar(of: inspect.Type) -> Json:
    match of:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType() | inspect.FloatType():
            return _number(of)
        case inspect.StrType(pattern=pattern, min_length=least, max_length=most):
            text = st.from_regex(pattern) if pattern else st.text(max_size=50)
            return text.filter(lambda value: (least or 0) <= len(value) <= (most or len(value)))
    raise NotImplementedError(f"{of}: give its field examples, `Meta(examples=[...])`, or teach this module")


def _number(of: inspect.IntType | inspect.FloatType) -> Json:
    low = of.ge if of.ge is not None else of.gt
    high = of.le if of.le is not None else of.lt
    bounded = (
        st.integers(low, high)  # type: ignore[arg-type]  # msgspec says int | float of an int's bounds
        if isinstance(of, inspect.IntType)
        else st.floats(low, high, allow_nan=False, allow_infinity=False)
    )
    return bounded.filter(lambda value: value not in {of.gt, of.lt})
