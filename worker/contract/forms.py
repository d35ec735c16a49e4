"""Forms: what the values of a type are in JSON, so far as they are always the same."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import inspect

from worker.contract.shapes import choices

_FORMS: Mapping[type[inspect.Type], frozenset[str]] = MappingProxyType(
    {
        inspect.NoneType: frozenset({"null"}),
        inspect.BoolType: frozenset({"boolean"}),
        inspect.IntType: frozenset({"integer"}),
        inspect.FloatType: frozenset({"number"}),
        inspect.DecimalType: frozenset({"number", "string"}),
        inspect.StrType: frozenset({"string"}),
        inspect.BytesType: frozenset({"string"}),
        inspect.DateTimeType: frozenset({"string"}),
        inspect.DateType: frozenset({"string"}),
        inspect.TimeType: frozenset({"string"}),
        inspect.TimeDeltaType: frozenset({"string"}),
        inspect.UUIDType: frozenset({"string"}),
        inspect.ListType: frozenset({"array"}),
        inspect.VarTupleType: frozenset({"array"}),
        inspect.TupleType: frozenset({"array"}),
        inspect.SetType: frozenset({"array"}),
        inspect.FrozenSetType: frozenset({"array"}),
        inspect.DictType: frozenset({"object"}),
    }
)
_OF_VALUES: Mapping[type, str] = MappingProxyType({str: "string", int: "integer", type(None): "null"})


def forms(types: Iterable[inspect.Type]) -> frozenset[str] | None:
    """What values of these types can be, as JSON Schema names it, `null` left out.

    Returns:
        None where nobody can say.
    """
    found = [_form(choice) for type_ in types for choice in choices(type_)]
    known = [form for form in found if form is not None]
    together = frozenset().union(*known) - {"null"}
    return together if together and len(known) == len(found) else None


def meet(some: frozenset[str] | None, others: frozenset[str] | None) -> bool:
    """Whether a value of some forms may be one of others: a number may be whole."""
    return some is None or others is None or not _wide(some).isdisjoint(_wide(others))


def _form(type_: inspect.Type) -> frozenset[str] | None:
    if isinstance(type_, inspect.StructType):
        return frozenset({"array" if type_.array_like else "object"})
    if isinstance(type_, inspect.LiteralType):
        return frozenset(_OF_VALUES[type(value)] for value in type_.values)
    if isinstance(type_, inspect.EnumType):
        return frozenset(_OF_VALUES[type(member.value)] for member in type_.cls)
    return _FORMS.get(type(type_))


def _wide(names: frozenset[str]) -> frozenset[str]:
    return names | ({"number"} if "integer" in names else frozenset())
