import timeit
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from api.failure_groups import grouped, without_particulars

NOON = datetime(2027, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("job 0190a7c0-0000-7000-8000-000000000000 is gone", "job <id> is gone"),
        ("http://127.0.0.1:8080/a?b=c answered 503", "<url> answered N"),
        ("postgresql://u@db/x refused", "<url> refused"),
        ("<ada@example.org> was refused: 550 5.1.1", "<<address>> was refused: N N"),
        ("no column 'price' in \"orders\"", "no column '…' in \"…\""),
        ("the server can't, and the client won't", "the server can't, and the client won't"),
        ("digest 9f86d081884c7d65 is wrong", "digest <hex> is wrong"),
        ("defaced decade", "defaced decade"),
        ("line 3:\n  bad  \n", "line N: bad"),
        ("10.0.0.7 after 2.5 s", "N after N s"),
        ("", ""),
        ("x" * 500, "x" * 200 + "…"),
    ],
)
def test_what_tells_one_job_from_another_is_left_out(message: str, said: str) -> None:
    assert without_particulars(message) == said


@pytest.mark.parametrize("part", ["a", "a.", "abcdef12", "' ", "' \"", "1.", "+", "a@"])
def test_a_message_made_to_be_slow_costs_about_what_its_length_does(part: str) -> None:
    def seconds(letters: int) -> float:
        message = (part * letters)[:letters]
        return min(timeit.repeat(lambda: without_particulars(message), number=3, repeat=5))

    assert seconds(10_000) < 50 * seconds(1_000)  # the square would be a hundred times as much


def row(message: str, jobs: int = 1, minutes: int = 0, **fields: Any) -> Any:
    given = {"kind": "web.fetch", "type": "ServerError", "message": message, "jobs": jobs}
    moment = NOON + timedelta(minutes=minutes)
    times = {"first": moment, "last": moment, "example": UUID(int=minutes)}
    return SimpleNamespace(**given | times | fields)


def test_errors_of_one_cause_are_one_group() -> None:
    rows = [row("answered 500", 2, minutes=5), row("answered 502", minutes=9), row("answered 503", minutes=1)]
    (group,) = grouped(rows)
    assert (group.count, group.message, group.example) == (4, "answered N", UUID(int=9))
    assert (group.first, group.last) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=9))


def test_the_largest_group_comes_first_and_kinds_and_types_are_kept_apart() -> None:
    rows = [row("no"), row("no", 5, kind="email.send"), row("no", 3, type="Timeout")]
    assert [(group.kind, group.error_type, group.count) for group in grouped(rows)] == [
        ("email.send", "ServerError", 5),
        ("web.fetch", "Timeout", 3),
        ("web.fetch", "ServerError", 1),
    ]
