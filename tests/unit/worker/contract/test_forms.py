"""What values of a type are in JSON."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from worker.contract.forms import forms, meet
from worker.contract.shapes import reach


class Level(IntEnum):
    LOW = 1


class Point(msgspec.Struct, array_like=True):
    x: int


@dataclass
class Other:
    x: int


@pytest.mark.parametrize(
    ("type_", "form"),
    [
        (int, {"integer"}),
        (float | None, {"number"}),
        (Annotated[str, Meta(min_length=1)] | list[int], {"string", "array"}),
        (datetime, {"string"}),
        (UUID, {"string"}),
        (Decimal, {"number", "string"}),
        (Literal["a", 1], {"string", "integer"}),
        (Literal["a", None], {"string"}),  # noqa: PYI061 - kinds may write it so
        (Level, {"integer"}),
        (Point, {"array"}),
        (dict[str, bool], {"object"}),
        (Any, None),
        (None, None),
        (Other, None),
    ],
)
def test_a_type_has_its_forms(type_: object, form: set[str] | None) -> None:
    assert forms(reach(type_, ())) == form


def test_what_nobody_knows_may_be_anything() -> None:
    assert forms([]) is None
    assert meet(None, frozenset({"string"}))


def test_a_whole_number_is_a_number_and_text_is_none() -> None:
    assert meet(frozenset({"integer"}), frozenset({"number", "string"}))
    assert not meet(frozenset({"integer"}), frozenset({"string", "object"}))
