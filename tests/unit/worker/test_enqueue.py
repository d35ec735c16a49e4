"""From a submission to a job."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from worker.contract import EMAIL, Context, Payload, Rights, kind
from worker.contract.states import Priority
from worker.enqueue import Enqueuer, KindNotAllowed, Refused, Submission, UnknownKind, message_of, submission
from worker.ledger.records import NewJob

CLIENT = UUID(int=1)
LATER = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Address(msgspec.Struct, frozen=True):
    city: str


class Letter(Payload, frozen=True):
    to: Annotated[str, Meta(min_length=1, max_length=20)]
    copies: Annotated[int, Meta(ge=1, le=5)] = 1
    address: Address | None = None
    lines: list[Any] = []  # noqa: RUF012 - msgspec makes a new one for each


@kind("letter.send", queue=EMAIL, max_attempts=4)
def send(payload: Letter, ctx: Context) -> None:
    """Send a letter."""


ENQUEUER = Enqueuer({send.name: send})


def prepare(payload: dict[str, Any] | None = None, *, published: bool = False, **options: Any) -> NewJob:
    wanted = submission("letter.send", {"to": "Ada"} if payload is None else payload, **options)
    return ENQUEUER.prepare(wanted, CLIENT, "a request", published=published)


def refused(payload: dict[str, Any] | None = None, **options: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        prepare(payload, **options)
    return caught.value


def test_rights_come_before_the_payload_and_after_the_kind() -> None:
    bound = Rights(("web.*",))
    with pytest.raises(KindNotAllowed) as caught:
        ENQUEUER.prepare(submission("letter.send", {"no": 1}), CLIENT, None, rights=bound)
    assert (caught.value.field, caught.value.rights) == ("kind", bound)
    assert caught.value.reason == "this key may not submit letter.send; it may submit web.*"
    with pytest.raises(UnknownKind):
        ENQUEUER.prepare(submission("letter.sent", {}), CLIENT, None, rights=bound)
    allowed = Rights(("letter.send",))
    assert ENQUEUER.prepare(submission("letter.send", {"to": "Ada"}), CLIENT, None, rights=allowed)


def test_a_job_is_made_of_a_submission_and_its_kind() -> None:
    job = prepare(tags=["a"], priority=Priority.HIGH)
    assert (job.kind, job.queue, job.client_id, job.request_id) == (
        "letter.send",
        "email",
        CLIENT,
        "a request",
    )
    assert (job.tags, job.priority, job.max_attempts) == (["a"], Priority.HIGH, 4)
    assert (job.scheduled_at, job.expires_at, job.published) == (None, None, False)


def test_the_payload_is_kept_without_its_defaults() -> None:
    """A worker of the version before a field runs what does without it."""
    assert msgspec.json.decode(prepare().payload) == {"to": "Ada"}


def test_a_submission_may_want_another_number_of_attempts() -> None:
    assert prepare(max_attempts=1).max_attempts == 1


def test_two_jobs_have_two_ids_that_ascend() -> None:
    assert prepare().id < prepare().id


@pytest.mark.parametrize(
    ("payload", "field", "reason"),
    [
        ({}, "payload.to", "missing required field `to`"),
        (
            {"to": "Ada", "cc": "Bob"},
            "payload.cc",
            "unknown field `cc`; there are: to, copies, address, lines",
        ),
        ({"to": 3}, "payload.to", "Expected `string`, got `integer`"),
        ({"to": ""}, "payload.to", "length >= 1"),
        ({"to": "Ada", "copies": 6}, "payload.copies", "<= 5"),
        ({"to": "Ada", "address": {"city": 1}}, "payload.address.city", "Expected `string`, got `integer`"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(
    payload: dict[str, Any], field: str, reason: str
) -> None:
    refusal = refused(payload)
    assert refusal.field == field
    assert reason in refusal.reason


def test_a_payload_that_is_no_object_is_refused() -> None:
    with pytest.raises(Refused) as caught:
        ENQUEUER.prepare(Submission(kind="letter.send", payload=msgspec.Raw(b"[]")), CLIENT, None)
    assert caught.value.field == "payload"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"to": "Ada", "lines": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"to": "\xff\xfe"}', "no Unicode"),
        (b'{"to": "\\ud800"}', "no Unicode"),
    ],
)
def test_hostile_text_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        ENQUEUER.prepare(Submission(kind="letter.send", payload=msgspec.Raw(text)), CLIENT, None)
    assert caught.value.field == "payload"
    assert reason in caught.value.reason


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownKind) as caught:
        ENQUEUER.prepare(submission("letter.burn", {}), CLIENT, None)
    assert (caught.value.field, caught.value.known) == ("kind", ["letter.send"])
    assert "there is no kind 'letter.burn'; known are letter.send" in str(caught.value)


def test_times_are_kept_in_utc() -> None:
    job = prepare(scheduled_at=LATER.astimezone(timezone(timedelta(hours=5))))
    assert job.scheduled_at == LATER
    assert job.scheduled_at.tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(9999, 12, 31, 23, 30, tzinfo=timezone(timedelta(hours=-1))),
        datetime(1, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_time_that_utc_does_not_have_is_refused(moment: datetime) -> None:
    assert refused(scheduled_at=moment).field == "scheduled_at"
    assert refused(expires_at=moment).field == "expires_at"


@pytest.mark.parametrize("later", [timedelta(0), timedelta(seconds=-1)])
def test_a_job_cannot_expire_before_it_may_start(later: timedelta) -> None:
    assert refused(scheduled_at=LATER, expires_at=LATER + later).field == "expires_at"


def test_only_a_job_that_may_start_now_is_published_with_its_insert() -> None:
    assert prepare(published=True).published
    assert not prepare(published=True, scheduled_at=LATER).published


def test_the_description_shows_no_value() -> None:
    assert prepare({"to": "a secret", "copies": 2}).description == "to, copies"


@pytest.mark.parametrize(
    ("said", "kept"),
    [("x" * 300, "x" * 200), ("two\nlines", "two\ufffdlines"), ("nul\0", "nul\ufffd"), ("Grüße", "Grüße")],
)
def test_a_description_is_one_short_printable_line(
    monkeypatch: pytest.MonkeyPatch, said: str, kept: str
) -> None:
    monkeypatch.setattr(Letter, "describe", lambda _self: said)
    assert prepare().description == kept


def test_the_message_of_a_job_says_no_more_than_a_worker_needs() -> None:
    job = prepare({"to": "a secret"}, priority=Priority.LOW)
    message = message_of(job)
    assert (message.job_id, message.kind, message.queue) == (job.id, "letter.send", "email")
    assert (message.priority, message.alone, message.request_id) == (Priority.LOW, False, "a request")
    assert "a secret" not in str(message)


@pytest.mark.parametrize("tag", ["", "x" * 101, "a\nb", "nul\0", "end\n", "\x7f"])
def test_a_tag_is_a_short_printable_word(tag: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "letter.send", "tags": [tag]}, Submission)


@pytest.mark.parametrize("attempts", [0, -1, 101])
def test_attempts_have_a_range(attempts: int) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"kind": "letter.send", "max_attempts": attempts}, Submission)


def test_a_time_needs_its_offset() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            b'{"kind": "letter.send", "scheduled_at": "2030-01-01T12:00:00"}', type=Submission
        )


def test_a_callback_is_https_unless_the_operator_allows_http() -> None:
    plain = "http://127.0.0.1:9000/ended"
    with pytest.raises(Refused, match="JOBYARD_CALLBACK_HTTP"):
        ENQUEUER.checked_callback(plain)
    assert Enqueuer({send.name: send}, plain_http=True).checked_callback(plain) == plain
    with pytest.raises(Refused, match="absolute"):
        ENQUEUER.checked_callback("/ended")
