import time

import pytest
from falcon.testing import create_req

from api.preferences import _PART, preferred_wait


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("wait=10", 10),
        ("WAIT = 10", 10),
        ('wait="7"', 7),
        ("respond-async, wait=5", 5),
        ("wait=5; foo=bar", 5),
        ("wait=3, wait=9", 3),
        ('handling="a,wait=9", wait=2', 2),
        ("wait=0", 0),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("wait", 0),
        ("waiting=5", 0),
        ('foo="unclosed, wait=5', 0),
        ('wait=5, foo="unclosed', 5),
        ('foo="a\\"b,wait=9", wait=2', 2),
        ('foo="\\', 0),
        ("", 0),
    ],
)
def test_a_preference_to_wait_is_read_and_nonsense_is_passed_over(prefer: str | None, seconds: int) -> None:
    req = create_req(headers={} if prefer is None else {"Prefer": prefer})
    assert preferred_wait(req, longest=60.0) == seconds


def test_nobody_waits_longer_than_is_granted() -> None:
    assert preferred_wait(create_req(headers={"Prefer": "wait=999999999"}), longest=60.0) == 60


@pytest.mark.parametrize(
    "header",
    [
        '"' + '\\"' * 20_000,
        '"' * 40_001,
        ',"' * 20_000,
        '"' * 4000 + "," * 4000 + "\\" * 100,
        " " * 40_000,
        "wait" + " " * 40_000,
    ],
    ids=["escapes", "quotes", "unclosed", "mixed", "blanks", "blanks in the middle"],
)
def test_a_hostile_preference_costs_no_time(header: str) -> None:
    """What looks at a character more than a few times takes many seconds here, and not a millisecond."""
    started = time.process_time()
    assert preferred_wait(create_req(headers={"Prefer": header}), longest=60.0) == 0
    assert sum(len(part) for part in _PART.findall(header)) <= len(header)
    assert time.process_time() - started < 1.0
