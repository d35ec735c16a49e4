import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.definitions import Parameter, ParameterError, bind
from worker.definitions.parameter import Type

TYPES: dict[str, Any] = {
    "text": str,
    "integer": int,
    "number": Decimal,
    "boolean": bool,
    "date": date,
    "timestamp": datetime,
    "uuid": UUID,
    "json": object,
}


def bound(value: object, **parameter: Any) -> Any:
    """A value as its statement gets it."""
    return bind({"given": Parameter(**parameter)}, {"given": value})["given"]


@pytest.mark.parametrize(
    ("of", "value", "expected"),
    [
        ("text", "Grüße\n", "Grüße\n"),
        ("text", "", ""),
        ("integer", -(2**63), -(2**63)),
        ("number", 0.1, Decimal("0.1")),
        ("number", 3, Decimal(3)),
        ("number", "12.50", Decimal("12.50")),
        ("boolean", False, False),
        ("date", "2024-02-29", date(2024, 2, 29)),
        ("timestamp", "2024-02-29T12:00:00", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("timestamp", "2024-02-29T12:00:00+02:00", datetime(2024, 2, 29, 10, tzinfo=UTC)),
        ("uuid", "0190a7c0-0000-7000-8000-000000000000", UUID("0190a7c0-0000-7000-8000-000000000000")),
        ("json", {"a": [1, None, "x"]}, {"a": [1, None, "x"]}),
    ],
)
def test_a_value_gets_the_type_of_its_parameter(of: Type, value: object, expected: object) -> None:
    assert bound(value, type=of) == expected
    assert bound([value, value], type=of, list=True) == [expected, expected]


@pytest.mark.parametrize(
    ("of", "value", "reason"),
    [
        ("text", 1, "expected `string`, got `integer`"),
        ("text", "a\0b", "holds a NUL character"),
        ("text", "\ud800", "holds characters that are no Unicode"),
        ("integer", True, "expected `integer`, got `boolean`"),
        ("integer", 1.0, "expected `integer`, got `number`"),
        ("integer", "1", "expected `integer`, got `string`"),
        ("integer", 2**63, "expected `integer` <= 9223372036854775807"),
        pytest.param("integer", -(10**5000), "expected `integer` >= -9223372036854775808", id="integer-huge"),
        ("number", True, "expected `number`, got `boolean`"),
        ("number", float("nan"), "expected a finite number"),
        ("number", float("-inf"), "expected a finite number"),
        ("number", "NaN", "expected a finite number"),
        ("number", "sNaN", "expected a finite number"),
        ("number", "1e1001", "expected a number of at most 1000 digits"),
        pytest.param("number", 10**5000, "expected a number of at most 1000 digits", id="number-huge"),
        ("number", "0." + "1" * 1001, "expected a number of at most 1000 digits"),
        ("number", "a lot", "invalid decimal string"),
        ("boolean", 1, "expected `boolean`, got `integer`"),
        ("boolean", "true", "expected `boolean`, got `string`"),
        ("date", "2023-02-29", "invalid RFC3339 encoded date"),
        ("date", "10000-01-01", "invalid RFC3339 encoded date"),
        ("date", "2024-01-01T00:00:00Z", "invalid RFC3339 encoded date"),
        ("date", 1, "expected `date`, got `integer`"),
        ("timestamp", "2024-01-01", "invalid RFC3339 encoded datetime"),
        ("timestamp", 1e18, "expected `date-time`, got `number`"),
        ("timestamp", "0001-01-01T00:00:00+14:00", "is not between the years 1 and 9999 UTC"),
        ("timestamp", "9999-12-31T23:59:59-14:00", "is not between the years 1 and 9999 UTC"),
        ("uuid", "0190a7c0", "invalid UUID"),
        ("uuid", "\udcff", "holds characters that are no Unicode"),
        ("json", "\ud800", "holds characters that are no Unicode"),
        ("json", {"a": "\ud800"}, "cannot be written as JSON"),
        ("json", {"a": 10**5000}, "cannot be written as JSON"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_parameter(
    of: Type, value: object, reason: str
) -> None:
    for given_, form in ((value, {}), ([value], {"list": True})):
        with pytest.raises(ParameterError) as caught:
            bound(given_, type=of, **form)
        assert str(caught.value).startswith(f"given: {reason}")


@pytest.mark.parametrize(
    ("options", "value", "reason"),
    [
        ({"type": "integer", "min": 2}, 1, "is less than 2"),
        ({"type": "integer", "max": 2}, 3, "is greater than 2"),
        ({"type": "number", "max": 0.1}, 0.2, "is greater than 0.1"),
        ({"type": "date", "min": "2024-01-01"}, "2023-12-31", "is less than 2024-01-01"),
        ({"type": "date", "min": date(2024, 1, 1)}, "2023-12-31", "is less than 2024-01-01"),
        (
            {"type": "timestamp", "max": "2024-01-01T00:00:00"},
            "2024-01-01T00:30:00-01:00",
            "is greater than 2024-01-01T00:00:00",
        ),
        ({"type": "text", "choices": ("a", "b")}, "c", "expected one of a, b"),
        ({"type": "number", "choices": (0.1, 1)}, 2, "expected one of 0.1, 1"),
        ({"type": "text", "max_length": 3}, "abcd", "has 4 characters, at most 3 are taken"),
        ({"type": "integer", "list": True, "max_length": 1}, [1, 2], "has 2 items, at most 1 are taken"),
        ({"type": "integer", "list": True, "max": 1}, [1, 2], "is greater than 1"),
        ({"type": "integer", "list": True}, 1, "expected a list"),
        ({"type": "integer", "list": True}, [1, None], "expected `integer`, got `null`"),
    ],
)
def test_a_value_beyond_the_limits_is_refused(options: dict[str, Any], value: object, reason: str) -> None:
    with pytest.raises(ParameterError) as caught:
        bound(value, **options)
    assert str(caught.value) == f"given: {reason}"


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"type": "integer", "min": 1, "max": 3}, 1),
        ({"type": "integer", "min": 1, "max": 3}, 3),
        ({"type": "text", "max_length": 3}, "äöü"),
        ({"type": "text", "choices": ("a",)}, "a"),
        ({"type": "text", "list": True, "max_length": 2}, ["a", "b"]),
        ({"type": "text", "list": True}, []),
    ],
)
def test_limits_are_themselves_allowed(options: dict[str, Any], value: object) -> None:
    assert bound(value, **options) == value


def test_what_is_not_given_is_its_default_or_null_or_missing() -> None:
    parameters = {
        "late": Parameter(type="date", default="2024-01-01"),
        "name": Parameter(type="text", required=False),
        "off": Parameter(type="boolean", default=False),
    }
    expected = {"late": date(2024, 1, 1), "name": None, "off": False}
    assert bind(parameters, {}) == bind(parameters, dict.fromkeys(parameters)) == expected
    with pytest.raises(ParameterError, match="the parameter 'id' is missing"):
        bind({"id": Parameter(type="integer")}, {"id": None})


def test_a_parameter_that_there_is_not_is_refused_with_those_there_are() -> None:
    with pytest.raises(ParameterError, match="there is no parameter 'b'; there are: a, c"):
        bind({"a": Parameter(type="text"), "c": Parameter(type="text")}, {"b": 1, "a": "x"})
    with pytest.raises(ParameterError, match="there is no parameter 'b'; there are: none"):
        bind({}, {"b": 1})


@pytest.mark.parametrize("of", get_args(Type))
def test_a_value_that_is_nested_without_end_is_refused(of: Type) -> None:
    value: list[Any] = []
    for _ in range(10 * sys.getrecursionlimit()):
        value = [value]
    with pytest.raises(ParameterError):
        bound(value, type=of)


ANY_TEXT = st.text(st.characters(codec=None), max_size=30)  # lone surrogates too
MOMENTS = st.datetimes(
    timezones=st.none()
    | st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(
        lambda offset: timezone(timedelta(minutes=offset // timedelta(minutes=1)))
    )
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**15, max_value=10**400)
    | st.floats()
    | ANY_TEXT
    | st.dates().map(str)
    | MOMENTS.map(datetime.isoformat)
    | st.uuids().map(str)
    | st.decimals().map(str)
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner), max_leaves=8)
LIMITS = st.fixed_dictionaries({}, optional={"min": JSON, "max": JSON, "choices": st.lists(JSON).map(tuple)})


@given(of=st.sampled_from(get_args(Type)), value=JSON, many=st.booleans(), limits=LIMITS)
def test_any_json_gives_a_value_of_the_type_or_a_parameter_error(
    of: Type, value: object, limits: dict[str, Any], *, many: bool
) -> None:
    if of not in {"integer", "number", "date", "timestamp"}:
        limits = {name: limit for name, limit in limits.items() if name == "choices"}
    parameter = Parameter(type=of, list=many, required=False, **limits)
    try:
        found = bind({"given": parameter}, {"given": value})["given"]
    except ParameterError as error:
        str(error).encode()
        return
    for item in found if many and found is not None else [found]:
        assert item is None or isinstance(item, TYPES[of])
        if isinstance(item, datetime):
            assert item.utcoffset() == timedelta(0)
        if of == "integer":
            assert not isinstance(item, bool)
