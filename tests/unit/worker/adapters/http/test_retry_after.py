"""The Retry-After header."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.adapters.http.retry_after import CAP, retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 120 ", 120),
        ("3600", CAP),
        ("9" * 5000, CAP),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("\u0663", None),
        ("", None),
        (None, None),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", CAP),
        ("Fri, 99 Foo 2030 00:00:00 GMT", None),
    ],
)
def test_seconds_and_dates_are_understood_and_nonsense_is_ignored(
    value: str | None, seconds: float | None
) -> None:
    assert retry_after(value) == seconds


def test_a_date_is_a_wait_from_now() -> None:
    wait = retry_after(formatdate(time.time() + 100, usegmt=True))
    assert wait == pytest.approx(100, abs=2)


@settings(deadline=None)
@given(st.text(st.characters(max_codepoint=255)))
def test_no_value_breaks_it(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or 0 <= seconds <= CAP
