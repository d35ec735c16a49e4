import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.contract import Backoff

RNG = random.Random(1)  # noqa: S311 - jitter, no secret


@pytest.mark.parametrize(("attempt", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (12, 2048.0)])
def test_the_wait_doubles(attempt: int, delay: float) -> None:
    assert Backoff(jitter=0.0).delay(attempt, RNG) == delay


@pytest.mark.parametrize("attempt", [13, 100, 10**9])
def test_the_wait_has_a_cap_however_often_it_failed(attempt: int) -> None:
    assert Backoff(jitter=0.0).delay(attempt, RNG) == 3600.0


@given(
    st.builds(
        Backoff,
        base=st.floats(0, 1000),
        factor=st.floats(1, 10),
        cap=st.floats(1000, 1e6),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 10_000),
)
def test_the_wait_is_between_its_jitter_and_its_cap(backoff: Backoff, attempt: int) -> None:
    whole = msgspec.structs.replace(backoff, jitter=0.0).delay(attempt, RNG)
    delay = backoff.delay(attempt, RNG)
    assert 0 <= whole * (1 - backoff.jitter) <= delay <= whole <= backoff.cap


def test_jobs_that_failed_together_do_not_return_together() -> None:
    assert len({Backoff().delay(1, RNG) for _ in range(100)}) > 90


@pytest.mark.parametrize(
    "wrong",
    [{"base": -1.0}, {"factor": 0.5}, {"base": 10.0, "cap": 5.0}, {"jitter": -0.1}, {"jitter": 1.1}],
)
def test_values_without_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs base >= 0"):
        Backoff(**wrong)
