import pytest

from ops.cli.wording import COUNTED, at_least, brief
from worker.ledger import queues


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (307, "5m 07s"),
        (3600, "1h 00m"),
        (12_345, "3h 25m"),
        (187_200, "2d 4h"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_units(seconds: float, said: str) -> None:
    assert brief(seconds) == said


def test_a_count_at_its_bound_says_so() -> None:
    assert [at_least(9_999), at_least(10_000)] == ["9,999", "10,000+"]
    assert COUNTED == queues.COUNTED
