"""What a type says of a place inside of it."""

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
