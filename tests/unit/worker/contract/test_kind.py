"""Declaring a kind, and the sentences that refuse a declaration which cannot work."""

from collections.abc import Callable
from typing import Any, Protocol

import pytest

from worker.contract import (
    EMAIL,
    REPORT,
    Backoff,
    Context,
    KindError,
    Payload,
    Result,
    hours,
    kind,
    minutes,
    seconds,
)


class Letter(Payload, frozen=True):
    to: str


class Sent(Result, frozen=True):
    number: int


class Post(Protocol):
    def post(self, to: str) -> int: ...


def send(payload: Letter, ctx: Context, post: Post) -> Sent:
    """Send a letter."""
    return Sent(number=post.post(payload.to) + ctx.attempt)


def refusal(handler: Callable[..., Any] = send, name: str = "letter.send", **options: Any) -> str:
    with pytest.raises(KindError) as caught:
        kind(name, queue=EMAIL, **options)(handler)
    return str(caught.value)


def test_a_kind_knows_its_handler_by_its_signature() -> None:
    declared = kind("letter.send", queue=EMAIL)(send)
    assert (declared.payload_type, declared.result_type) == (Letter, Sent)
    assert declared.ports == {"post": Post}
    assert (declared.description, declared.module) == ("Send a letter.", __name__)


def test_calling_a_kind_calls_its_handler() -> None:
    class FakePost:
        def post(self, to: str) -> int:
            return len(to)

    class Ctx:
        attempt = 2

    declared: Any = kind("letter.send", queue=EMAIL)(send)
    assert declared(Letter(to="Ada"), Ctx(), FakePost()) == Sent(number=5)


def test_a_kind_has_the_deadline_of_its_queue_and_sensible_defaults() -> None:
    declared = kind("letter.send", queue=REPORT)(send)
    assert (declared.deadline, declared.max_attempts, declared.backoff) == (REPORT.deadline, 3, Backoff())


def test_a_kind_may_say_otherwise() -> None:
    backoff = Backoff(base=5.0)
    declared = kind("letter.send", queue=EMAIL, max_attempts=1, deadline=minutes(2), backoff=backoff)(send)
    assert (declared.deadline, declared.max_attempts, declared.backoff) == (120.0, 1, backoff)


def test_a_kind_may_keep_less_of_its_jobs() -> None:
    assert kind("letter.send", queue=EMAIL)(send).retention is None
    assert kind("letter.send", queue=EMAIL, retention=hours(1))(send).retention == 3600.0
    with pytest.raises(KindError, match=r"^letter.send: has retention=0: it needs a time above zero"):
        kind("letter.send", queue=EMAIL, retention=0)(send)


def test_times_read_like_sentences() -> None:
    assert (seconds(5), minutes(2), hours(1.5)) == (5.0, 120.0, 5400.0)


@pytest.mark.parametrize(
    "name", ["send", "Letter.send", "letter.send.now", "letter-send", "letter.", ".send", "l tter.send", ""]
)
def test_a_name_is_a_domain_and_a_verb(name: str) -> None:
    assert "is no name of a kind: use lower case, <domain>.<verb>" in refusal(name=name)


@pytest.mark.parametrize("attempts", [0, -1, 101])
def test_attempts_count_the_first_run(attempts: int) -> None:
    assert f"max_attempts={attempts}: it counts the first run" in refusal(max_attempts=attempts)


@pytest.mark.parametrize("deadline", [0.0, -1.0])
def test_a_deadline_is_above_zero(deadline: float) -> None:
    assert "it needs a time above zero" in refusal(deadline=deadline)


def test_a_short_kind_has_a_short_deadline() -> None:
    assert kind("letter.send", queue=EMAIL, deadline=5, short=True)(send).short
    assert not kind("letter.send", queue=EMAIL, deadline=5)(send).short
    told = refusal(short=True)
    assert "is short, and has deadline=60: give it one of 5 s at most" in told


def test_a_refusal_names_the_kind() -> None:
    assert refusal(deadline=0.0).startswith("letter.send: ")


def _no_types(payload, ctx): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - that is the point


def _no_payload(ctx: Context) -> None: ...
def _payload_alone(payload: Letter) -> None: ...
def _wrong_way_round(ctx: Context, payload: Letter) -> None: ...
def _another_payload(payload: dict[str, str], ctx: Context) -> None: ...
def _no_result(payload: Letter, ctx: Context): ...  # type: ignore[no-untyped-def]  # noqa: ANN202 - as above
def _another_result(payload: Letter, ctx: Context) -> dict[str, str]: ...  # type: ignore[empty-body]  # as above
def _no_class_for_a_port(payload: Letter, ctx: Context, post: list[str]) -> None: ...


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (_no_types, "has parameters without a type: payload, ctx"),
        (_no_payload, "must take (payload: <a Payload>, ctx: Context, <ports>)"),
        (_payload_alone, "must take (payload: <a Payload>, ctx: Context, <ports>)"),
        (_wrong_way_round, "must take (payload: <a Payload>, ctx: Context, <ports>)"),
        (_another_payload, "must take (payload: <a Payload>, ctx: Context, <ports>)"),
        (_no_result, "must say what it returns: a Result, or None"),
        (_another_result, "must say what it returns: a Result, or None"),
    ],
)
def test_a_handler_takes_a_payload_a_context_and_ports(handler: Callable[..., Any], problem: str) -> None:
    assert problem in refusal(handler)


def test_a_port_is_a_class() -> None:
    assert "post" in refusal(_no_class_for_a_port)


def test_a_payload_that_has_no_schema_is_refused_at_once() -> None:
    class Odd(Payload, frozen=True):
        handle: Callable[[], None]

    def handler(payload: Odd, ctx: Context) -> None: ...

    handler.__annotations__["payload"] = Odd  # a local class
    assert "its payload Odd is unusable" in refusal(handler)
