"""What does not fit a type, as whoever sent the JSON reads it."""

import time
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from worker.contract.misfits import Misfit, misfit
from worker.contract.payload import Payload

SPOKEN = "^[a-z]+$"
SAID = {"misfit": "is no word: small letters alone"}


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Part(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    colour_of_it: Colour = Colour.RED
    more: "Part | None" = None


class Whole(Payload, frozen=True, kw_only=True):
    count: int | None = None
    share: Annotated[float, Meta(ge=0)] = 0
    flag: bool = False
    when: datetime | None = None
    price: Decimal = Decimal(0)
    file: bytes = b""
    name: Annotated[str, Meta(pattern="^a$", description="`str`")] = "a"
    side: Literal["left", "right", 3] = "left"
    end: Literal["open", None] = None  # noqa: PYI061 - kinds may write it so
    colours: dict[str, list[Colour | None]] = {}  # noqa: RUF012 - msgspec makes a new one for each
    named: dict[Literal["a"], Part] = {}  # noqa: RUF012 - as above
    part: Annotated[Part, Meta(description="One.")] | None = None
    word: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$(?!\n)")] = ""
    words: Annotated[
        list[Annotated[Annotated[str, Meta(pattern=SPOKEN, extra=SAID)], Meta(max_length=9)] | None],
        Meta(description="Some."),
    ] = []  # noqa: RUF012 - msgspec makes a new one for each payload
    marks: dict[Annotated[str, Meta(pattern=SPOKEN, extra=SAID)], str] = {}  # noqa: RUF012 - as above


class Left(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    next: "Left | Right | None" = None


class Right(msgspec.Struct, tag=True, forbid_unknown_fields=True):
    next: "Left | Right | None" = None


def found(document: object, type_: object = Whole) -> Misfit:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(msgspec.json.encode(document), type=type_)
    return misfit(error.value, type_)


@pytest.mark.parametrize(
    ("document", "place", "reason"),
    [
        ({"side": "top"}, ".side", "Invalid enum value 'top'; allowed are: 3, left, right"),
        ({"end": "shut"}, ".end", "Invalid enum value 'shut'; allowed are: null, open"),
        ({"colours": {"x": ["red", "blue"]}}, ".colours[...][1]",
         "Invalid enum value 'blue'; allowed are: red, green"),
        ({"part": {"colourOfIt": "blue"}}, ".part.colourOfIt",
         "Invalid enum value 'blue'; allowed are: red, green"),
        ({"part": {"colour": "red"}}, ".part.colour",
         "Object contains unknown field `colour`; there are: colourOfIt, more"),
        ({"named": {"b": {}}}, ".named", "Invalid enum value 'b'"),
    ],
)  # fmt: skip
def test_what_there_would_be_is_said(document: object, place: str, reason: str) -> None:
    assert found(document) == Misfit(place, reason)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"count": True}, "Expected `integer | null`, got `boolean`"),
        ({"count": 1.5}, "Expected `integer | null`, got `number`"),
        ({"share": -1}, "Expected `number` >= 0.0"),
        ({"share": []}, "Expected `number`, got `array`"),
        ({"flag": None}, "Expected `boolean`, got `null`"),
        ({"when": 1}, "Expected `date-time | null`, got `integer`; write it as in 2026-11-23T09:00:00Z"),
        ({"when": "today"}, "Invalid RFC3339 encoded datetime; write it as in 2026-11-23T09:00:00Z"),
        ({"price": {}}, "Expected `number`, got `object`"),
        ({"file": 1}, "Expected `base64`, got `integer`"),
        ({"name": "int"}, "Expected `string` matching regex '^a$'"),
        ({"word": "a\n"}, r"Expected `string` matching regex '^[^\x00-\x1f]*$'"),
        ({"side": None}, "Expected `integer | string`, got `null`"),
    ],
)
def test_types_have_the_names_of_json(document: object, reason: str) -> None:
    assert found(document).reason == reason


@pytest.mark.parametrize(
    ("document", "place"), [({"words": ["a", "B"]}, ".words[1]"), ({"marks": {"B": "b"}}, ".marks")]
)
def test_a_pattern_is_told_in_the_words_that_stand_beside_it(document: object, place: str) -> None:
    assert found(document) == Misfit(place, "is no word: small letters alone")


def test_the_value_itself_has_no_path() -> None:
    assert found([]) == Misfit("", "Expected `object`, got `array`")


@pytest.mark.parametrize("told", ["Expected `str`, got `int`", ", got `int`", "; allowed are: all"])
def test_what_a_client_wrote_is_repeated_as_it_is(told: str) -> None:
    assert f"'{told}'" in found({"side": told}).reason
    assert f"`{told}`" in found({told: 1}).reason


def test_what_there_would_be_is_said_behind_a_long_value_too() -> None:
    reason = found({"side": "x" * 1_000_000}).reason
    assert len(reason) < 400
    assert reason.endswith("…; allowed are: 3, left, right")


def test_a_field_that_a_payload_names_itself_is_named_once() -> None:
    error = msgspec.ValidationError("url: must be absolute - at `$.pages[0]`")
    assert misfit(error, Whole) == Misfit(".pages[0].url", "must be absolute")


def test_an_element_that_a_payload_names_itself_is_a_place() -> None:
    assert misfit(msgspec.ValidationError("to[2]: 'x' is no address"), Whole) == Misfit(
        ".to[2]", "'x' is no address"
    )


@pytest.mark.parametrize("quoted", ["a - at `$.url", "a - at `$.url`", "a - at `$", "`a - at `"])
def test_what_a_payload_quotes_is_no_place(quoted: str) -> None:
    error = msgspec.ValidationError(f"headers: {quoted!r} is no name of a header")
    assert misfit(error, Whole) == Misfit(".headers", f"{quoted!r} is no name of a header")


def test_a_path_through_unions_of_themselves_costs_no_time() -> None:
    deep: dict[str, Any] = {"type": "Left", "x": 1}
    for _ in range(50):
        deep = {"type": "Right", "next": deep}
    started = time.process_time()
    assert found(deep, Left | Right).reason == "Object contains unknown field `x`; there are: next"
    assert time.process_time() - started < 2.0
