from typing import Any

import pytest

from worker.contract.references import BadReference, Reference, pointed, references_in, replaced


def test_references_are_found_wherever_they_stand() -> None:
    document = {
        "a": {"$from": "x", "artifact": "body"},
        "b": [1, {"c": {"$from": "y", "result": "/rows/0"}}],
    }
    assert references_in(document) == {
        ("a",): Reference(job="x", artifact="body"),
        ("b", 1, "c"): Reference(job="y", pointer=("rows", "0")),
    }


@pytest.mark.parametrize(
    ("pointer", "tokens"),
    [("", ()), ("/", ("",)), ("/a~1b/c~0d", ("a/b", "c~d")), ("/~01", ("~1",))],
)
def test_a_pointer_is_read_as_the_rfc_says(pointer: str, tokens: tuple[str, ...]) -> None:
    (reference,) = references_in({"$from": "x", "result": pointer}).values()
    assert reference.pointer == tokens


@pytest.mark.parametrize(
    "bad",
    [
        {"$from": "x"},
        {"$from": 5, "result": ""},
        {"$from": "x", "result": "", "artifact": "a"},
        {"$from": "x", "result": "", "more": 1},
        {"$from": "x", "result": "rows"},
        {"$from": "x", "result": "/a~2"},
        {"$from": "x", "artifact": None},
        {"$from": "x", "result": "/a" * 101},
    ],
)
def test_what_looks_like_a_reference_and_is_none_is_refused_where_it_stands(bad: object) -> None:
    with pytest.raises(BadReference, match=r"payload\.a\[0\]: "):
        references_in({"a": [bad]})


def test_very_many_references_are_refused() -> None:
    with pytest.raises(BadReference, match="50"):
        references_in([{"$from": "x", "result": ""}] * 51)


def test_places_are_filled_and_nothing_else_changes() -> None:
    document = {"a": [{"$from": "x", "result": ""}, 2], "b": "c"}
    assert replaced(document, {("a", 0): {"$from": "is data here"}}) == {
        "a": [{"$from": "is data here"}, 2],
        "b": "c",
    }


@pytest.mark.parametrize(
    ("pointer", "found"),
    [((), {"a": [1, {"": 2}], "0": 3}), (("a", "0"), 1), (("a", "1", ""), 2), (("0",), 3)],
)
def test_a_pointer_finds_what_it_names(pointer: tuple[str, ...], found: Any) -> None:
    assert pointed({"a": [1, {"": 2}], "0": 3}, pointer) == found


@pytest.mark.parametrize("pointer", [("b",), ("a", "2"), ("a", "-"), ("a", "01"), ("a", "0", "x")])
def test_a_pointer_to_nothing_is_told(pointer: tuple[str, ...]) -> None:
    with pytest.raises(LookupError):
        pointed({"a": [1, 2]}, pointer)
