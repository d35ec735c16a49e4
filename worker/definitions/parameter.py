"""Parameters of statements, reports and templates: their types, and the values that jobs give them."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

Type = Literal["text", "integer", "number", "boolean", "date", "timestamp", "uuid", "json"]

# The JSON types are strict; a date, a time or an id is written as a string.
_TYPES: Mapping[Type, Any] = {
    "text": Annotated[str, Meta(pattern=r"^[^\x00]*$")],  # PostgreSQL's text holds no NUL
    "integer": Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    "number": Decimal,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "uuid": UUID,
    "json": Any,
}


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
        if not self.list:
            return self._single(given)
        if not isinstance(given, list):
            raise ParameterError("expected a list")
        if len(given) > self.max_length:
            raise ParameterError(f"has {len(given)} items, at most {self.max_length} are taken")
        return [self._single(item) for item in given]

    def _single(self, given: object) -> Any:
        value = self._converted(given)
        if self.choices and value not in [self._converted(choice) for choice in self.choices]:
            raise ParameterError(f"expected one of {', '.join(map(str, self.choices))}")
        if self.min is not None and value < self._converted(self.min):
            raise ParameterError(f"is less than {self.min}")
        if self.max is not None and value > self._converted(self.max):
            raise ParameterError(f"is greater than {self.max}")
        if isinstance(value, str) and len(value) > self.max_length:
            raise ParameterError(f"has {len(value)} characters, at most {self.max_length} are taken")
        return value

    def _converted(self, given: object) -> Any:
        if self.type == "number" and isinstance(given, float):
            given = Decimal(repr(given))  # as it was written
        try:
            value = msgspec.convert(given, _TYPES[self.type])
        except msgspec.ValidationError as error:
            raise ParameterError(_reason(error)) from None
        if isinstance(value, Decimal) and not value.is_finite():
            raise ParameterError("expected a finite number")
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value


def bind(parameters: Mapping[str, Parameter], given: Mapping[str, object]) -> dict[str, Any]:
    """The values of all parameters, by name: given ones, defaults, and None for what may be left out.

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


def _reason(error: msgspec.ValidationError) -> str:
    reason = re.sub(r" - at `.*$", "", str(error))
    return reason[:1].lower() + reason[1:]
