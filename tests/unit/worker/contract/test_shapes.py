"""What a type says of a place inside of it."""

import time
from typing import Any

import pytest

from worker.contract.shapes import reach


@pytest.mark.parametrize("type_", [list[str], tuple[str, int]])
@pytest.mark.parametrize(
    ("step", "found"), [(0, 1), ("0", 1), ("01", 0), ("-", 0), ("\u0661", 0), ("1" * 5000, 0)]
)
def test_an_element_is_reached_by_a_number_as_a_json_pointer_writes_it(
    type_: object, step: str | int, found: int
) -> None:
    assert len(reach(type_, (step,))) == found


def test_inside_of_anything_is_anything_however_deep() -> None:
    started = time.process_time()
    (found,) = reach(dict[str, Any], ["x"] * 1_000_000)
    assert found == reach(dict[str, Any], "x")[0]
    assert time.process_time() - started < 0.1  # a look at each step takes a second
