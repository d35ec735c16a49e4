from typing import Any

import msgspec
import pytest

from worker.contract import Payload, Result


class Letter(Payload, frozen=True):
    to: str
    subject: str = ""
    copies: int = 1
    headers: dict[str, str] = {}  # noqa: RUF012 - msgspec makes a new one for each


@pytest.mark.parametrize(
    ("given", "described"),
    [
        ({}, "to"),
        ({"subject": "s3cret"}, "to, subject"),
        ({"copies": 1}, "to"),
        ({"copies": 2, "headers": {"Authorization": "s3cret"}}, "to, copies, headers"),
    ],
)
def test_a_description_names_what_was_given_and_shows_no_value(given: dict[str, Any], described: str) -> None:
    assert Letter(to="s3cret", **given).describe() == described


def test_a_payload_refuses_what_it_does_not_know() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `cc`"):
        msgspec.json.decode(b'{"to": "a", "cc": "b"}', type=Letter)


def test_a_payload_cannot_be_changed() -> None:
    letter = Letter(to="a")
    with pytest.raises(AttributeError):
        letter.to = "b"  # type: ignore[misc]  # that is the point


def test_a_result_of_a_later_version_can_still_be_read() -> None:
    class Sent(Result, frozen=True):
        number: int

    assert msgspec.json.decode(b'{"number": 1, "new": true}', type=Sent) == Sent(number=1)
