import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract.extent import DEEPEST, is_shallow, values_in

LEAVES = st.none() | st.integers() | st.text(alphabet='"\\\\[]{},:a')
DOCUMENTS = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def nested(levels: int, inner: str = "0") -> bytes:
    return b"[" * levels + inner.encode() + b"]" * levels


def count(document: Any) -> int:
    inner = document.values() if isinstance(document, dict) else document
    return 1 + (sum(map(count, inner)) if isinstance(document, (dict, list)) else 0)


@pytest.mark.parametrize(
    "beside", ["0", '"[[[[[["', '"\\\\\\"[[[[[["', '"\\\\\\\\", []', "{}, " * 200 + "{}"]
)
def test_levels_are_those_of_brackets_outside_of_strings(beside: str) -> None:
    deeper = 1 if beside.endswith(("[]", "}")) else 0
    assert is_shallow(nested(DEEPEST - deeper, beside))
    assert not is_shallow(nested(DEEPEST - deeper + 1, beside))


@given(DOCUMENTS)
def test_values_are_at_least_counted(document: Any) -> None:
    found = values_in(json.dumps(document, ensure_ascii=False).encode())
    assert count(document) <= found <= 2 * count(document)  # an empty array counts as two


@pytest.mark.parametrize(
    "document", [b"[" * 500_000 + b"]" * 500_000, b'["",' * 250_000, b'"' + rb"\"" * 500_000 + b'"']
)
def test_a_megabyte_costs_no_more_than_to_decode_it(document: bytes) -> None:
    started = time.process_time()
    is_shallow(document)
    values_in(document)
    assert time.process_time() - started < 1.0
