"""Parameters of statements, reports and templates: their types, and the values that jobs give them."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from msgspec import Meta

from worker.contract.misfits import misfit

Type = Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid", "json"]

# The JSON types are strict; a date, a time or an id is written as a string.
_TYPES: Mapping[Type, Any] = MappingProxyType(
    {
        "text": str,
        "integer": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
        "number": Decimal,
        "boolean": bool,
        "date": date,
        "timestamp": datetime,
        "uuid": UUID,
        "json": Any,
    }
)
_DIGITS = 1000  # of a number, before and behind the point; PostgreSQL takes more, few others do


class ParameterError(ValueError):
    """A job gives a value that its parameter cannot take; the text is for the client."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a job gives by name."""

    type: Annotated[Type, Meta(description="What values it takes; times without an offset are UTC.")]
    description: Annotated[str, Meta(description="What it means, for those who submit jobs.")] = ""
    list: Annotated[bool, Meta(description="A list of such values, for `= ANY(:name)`.")] = False
    required: Annotated[bool, Meta(description="False: it is NULL where a job does not give it.")] = True
    default: Annotated[Any, Meta(description="Its value where a job does not give it.")] = None
    choices: Annotated[tuple[Any, ...], Meta(description="The only values it takes.")] = ()
    min: Annotated[Any, Meta(description="Least value.")] = None
    max: Annotated[Any, Meta(description="Greatest value.")] = None
    max_length: Annotated[
        Annotated[int, Meta(ge=1)], Meta(description="Characters of a text, items of a list.")
    ] = 10_000

    def value(self, given: object) -> Any:
        """A given value, converted and checked.

        Raises:
            ParameterError: it does not fit.
        """
        limits = self._limits()
        if not self.list:
            return self._within(limits, self.converted(given))
        if not isinstance(given, list):
            raise ParameterError("expected a list")
        if len(given) > self.max_length:
            raise ParameterError(f"has {len(given)} items, at most {self.max_length} are taken")
        return [self._within(limits, self.converted(item)) for item in given]

    def converted(self, given: object) -> Any:
        """One value of its type, whatever its limits.

        Raises:
            ParameterError: it is of another type, or cannot be written down.
        """
        try:
            if isinstance(given, str):
                given.encode()  # lone surrogates, which JSON may hold, are no text
            if isinstance(given, float) and self.type == "number":
                given = Decimal(repr(given))  # as it was written
            value = msgspec.convert(given, _TYPES[self.type])
            return _REFINED[self.type](value) if self.type in _REFINED else value
        except msgspec.ValidationError as error:
            raise ParameterError(_reason(error, _TYPES[self.type])) from None
        except UnicodeEncodeError:
            raise ParameterError("holds characters that are no Unicode") from None

    def _limits(self) -> "_Limits":
        least, greatest = (None if limit is None else self.converted(limit) for limit in (self.min, self.max))
        return _Limits([self.converted(choice) for choice in self.choices], least, greatest)

    def _within(self, limits: "_Limits", value: Any) -> Any:
        if limits.choices and value not in limits.choices:
            raise ParameterError(f"expected one of {', '.join(map(str, self.choices))}")
        if limits.least is not None and value < limits.least:
            raise ParameterError(f"is less than {self.min}")
        if limits.greatest is not None and value > limits.greatest:
            raise ParameterError(f"is greater than {self.max}")
        if isinstance(value, str) and len(value) > self.max_length:
            raise ParameterError(f"has {len(value)} characters, at most {self.max_length} are taken")
        return value


class _Limits(NamedTuple):
    choices: list[Any]  # empty: any value
    least: Any
    greatest: Any


def bind(parameters: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """The values of all parameters, by name: given ones, defaults, and None for what may be left out.

    A null counts as not given.

    Raises:
        ParameterError: names the parameter and says what is wrong, or which there are.
    """
    if unknown := sorted(set(given) - set(parameters)):
        known = ", ".join(parameters) or "none"
        raise ParameterError(f"there is no parameter {unknown[0]!r}; there are: {known}")
    return {name: _bound(name, parameter, given) for name, parameter in parameters.items()}


def _bound(name: str, parameter: Parameter, given: Mapping[str, object]) -> Any:
    value = given.get(name)
    if value is None:
        value = parameter.default
    if value is None:
        if parameter.required:
            raise ParameterError(f"the parameter {name!r} is missing")
        return None
    try:
        return parameter.value(value)
    except ParameterError as error:
        raise ParameterError(f"{name}: {error}") from None
    except RecursionError:
        raise ParameterError(f"{name}: is nested too deeply") from None


def _text(value: str) -> str:
    if "\0" in value:
        raise ParameterError("holds a NUL character")
    return value


def _number(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ParameterError("expected a finite number")
    if len(value.as_tuple().digits) > _DIGITS or abs(value.adjusted()) > _DIGITS:
        raise ParameterError(f"expected a number of at most {_DIGITS} digits")
    return value


def _timestamp(value: datetime) -> datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ParameterError("is not between the years 1 and 9999 UTC") from None


def _json(value: object) -> object:
    try:
        msgspec.json.encode(value)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"cannot be written as JSON: {error}") from None
    return value


# What a type asks for beyond what msgspec checks.
_REFINED: Mapping[Type, Callable[[Any], Any]] = MappingProxyType(
    {"text": _text, "number": _number, "timestamp": _timestamp, "json": _json}
)


def _reason(error: msgspec.ValidationError, type_: object) -> str:
    reason = misfit(error, type_).reason
    return reason[:1].lower() + reason[1:]
