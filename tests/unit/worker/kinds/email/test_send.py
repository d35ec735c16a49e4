"""`email.send`: what it accepts, and what becomes of each recipient."""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled, Fatal, Retryable
from worker.contract.ports import Content, Mail, Mailbox, Mailer, Refusal, Sent, Templates
from worker.kinds.email.send import EmailSend, EmailSent, send

ADA, BOB, CY = "ada@example.org", "bob@example.org", "cy@example.org"
ARTIFACT = "0190a7c0-0000-7000-8000-00000000000a"
HOSTILE = ["\r\nBcc: eve@example.org", "\n", "\r", "\x00", "\x1b", "\x85", "\u2028", "\u202e", "\t"]
HOSTILE += ["=?utf-8?q?=0D=0ABcc:_eve@example.org?="]


@dataclass
class FakeMailer:
    """Answers for each recipient with one code after the other, and at last with 250."""

    codes: dict[str, list[int]] = field(default_factory=dict)
    max_bytes: int = 1000
    mails: list[tuple[Mail, list[str]]] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    error: Exception | None = None

    def send(
        self, mail: Mail, recipients: Sequence[Mailbox], timeout: float, check: Callable[[], None]
    ) -> Sent:
        check()
        if self.error is not None:
            raise self.error
        self.mails.append((mail, [recipient.address for recipient in recipients]))
        self.timeouts.append(timeout)
        answers = [self._answer(recipient.address) for recipient in recipients]
        return Sent(
            message_id=f"{mail.id}@example.org",
            delivered=tuple(answer.address for answer in answers if answer.code < 400),
            refused=tuple(answer for answer in answers if answer.code >= 500),
            put_off=tuple(answer for answer in answers if 400 <= answer.code < 500),
        )

    def _answer(self, address: str) -> Refusal:
        codes = self.codes.get(address, [])
        return Refusal(address=address, code=codes.pop(0) if codes else 250, message=f"of {address[:3]}")


class FakeTemplates:
    def render(self, name: str, variables: Mapping[str, Any]) -> Content:
        return Content(subject=f"{name} for {variables['name']}", text="from a template")


def decode(**fields: Any) -> EmailSend:
    """A payload as the API makes it."""
    written = {"to": [ADA], "subject": "Hello", "text": "Hi"} | fields
    kept = {name: value for name, value in written.items() if value is not None}
    return msgspec.json.decode(msgspec.json.encode(kept), type=EmailSend)


def run(mailer: FakeMailer, ctx: FakeContext | None = None, **fields: Any) -> EmailSent:
    return send(decode(**fields), ctx or FakeContext(), mailer, FakeTemplates())


def inline(name: str = "a.pdf", content: bytes = b"abc", **fields: Any) -> dict[str, Any]:
    return {"name": name, "content_base64": base64.b64encode(content).decode()} | fields


def test_what_was_left_out_of_an_attachment_stays_out() -> None:
    file = {"name": "a.pdf", "artifact": ARTIFACT}
    written = msgspec.json.decode(msgspec.json.encode(decode(attachments=[file])))
    assert written["attachments"] == [file]


def test_the_fakes_are_what_the_contract_says() -> None:
    mailer: Mailer = FakeMailer()
    templates: Templates = FakeTemplates()
    assert send(decode(), FakeContext(), mailer, templates).delivered == (ADA,)


def test_it_tells_who_got_the_mail_and_under_which_id() -> None:
    ctx = FakeContext()
    result = run(FakeMailer({BOB: [550]}), ctx, to=[ADA, BOB], cc=[CY])
    assert result == EmailSent(
        message_id=f"{ctx.job_id}@example.org",
        delivered=(ADA, CY),
        refused=(Refusal(address=BOB, code=550, message="of bob"),),
    )
    assert ctx.reports == [(2, 3, "recipients")]


def test_the_mail_is_what_the_payload_says() -> None:
    mailer = FakeMailer()
    run(mailer, to=["Ada <ada@example.org>"], cc=[BOB], bcc=[CY], reply_to=BOB, html="<p>Hi</p>")
    ((mail, recipients),) = mailer.mails
    assert recipients == [ADA, BOB, CY]
    assert mail.to == [Mailbox(ADA, "Ada")]
    assert (mail.cc, mail.reply_to) == ([Mailbox(BOB)], Mailbox(BOB))
    assert mail.content == Content(subject="Hello", text="Hi", html="<p>Hi</p>")
    assert CY.encode() not in msgspec.json.encode(mail)


def test_who_is_named_twice_gets_one_mail() -> None:
    mailer = FakeMailer()
    run(mailer, to=[ADA, "Ada <ada@EXAMPLE.org>", BOB], cc=[ADA], bcc=[BOB, "Bob@example.org"])
    assert mailer.mails[0][1] == [ADA, BOB, "Bob@example.org"]
    hundred = [f"a{number}@example.org" for number in range(100)]
    assert len(decode(to=hundred, cc=hundred).recipients) == 100


def test_only_those_still_open_are_mailed_again_with_the_same_headers() -> None:
    mailer, ctx = FakeMailer({BOB: [450, 451, 250], CY: [550]}), FakeContext()
    for _ in range(2):
        with pytest.raises(Retryable, match=rf"^1 of 3 recipients put off: {BOB}: 45\d of bob$"):
            run(mailer, ctx, to=[ADA, BOB, CY])
    result = run(mailer, ctx, to=[ADA, BOB, CY])
    assert [recipients for _, recipients in mailer.mails] == [[ADA, BOB, CY], [BOB], [BOB]]
    assert (result.delivered, [refusal.address for refusal in result.refused]) == ((ADA, BOB), [CY])
    first, *later = (mail for mail, _ in mailer.mails)
    assert all(mail == first for mail in later)


def test_who_got_the_mail_is_noted_before_anything_else_happens() -> None:
    """The process may die right after the server took the mail."""
    ctx, mailer = FakeContext(), FakeMailer()
    run(mailer, ctx, to=[ADA, BOB])
    again = run(mailer, FakeContext(saved_checkpoints=ctx.saved_checkpoints), to=[ADA, BOB])
    assert len(mailer.mails) == 1
    assert (again.delivered, again.message_id) == ((ADA, BOB), f"{ctx.job_id}@example.org")


def test_nothing_is_noted_while_nothing_is_settled() -> None:
    ctx = FakeContext()
    with pytest.raises(Retryable, match="1 of 1 recipients put off"):
        run(FakeMailer({ADA: [421]}), ctx)
    assert not ctx.saved_checkpoints


def test_a_mail_that_nobody_may_have_is_fatal_in_the_servers_words() -> None:
    with pytest.raises(Fatal, match=f"^every recipient was refused: {ADA}: 550 of ada; {BOB}: 551 of bob$"):
        run(FakeMailer({ADA: [550], BOB: [551]}), to=[ADA, BOB])


def test_a_mail_that_everybody_was_refused_is_sent_to_everybody_when_it_is_run_again() -> None:
    """Once the server's operators have mended what made it refuse."""
    mailer, ctx = FakeMailer({ADA: [550], BOB: [450, 551]}), FakeContext()
    with pytest.raises(Retryable):
        run(mailer, ctx, to=[ADA, BOB])
    with pytest.raises(Fatal, match="every recipient was refused"):
        run(mailer, ctx, to=[ADA, BOB])
    result = run(mailer, ctx, to=[ADA, BOB])
    assert [recipients for _, recipients in mailer.mails] == [[ADA, BOB], [BOB], [ADA, BOB]]
    assert (result.delivered, result.refused) == ((ADA, BOB), ())
    first, *later = (mail for mail, _ in mailer.mails)
    assert all(mail == first for mail in later)


def test_who_is_refused_last_does_not_undo_what_was_delivered_first() -> None:
    mailer, ctx = FakeMailer({BOB: [450, 554]}), FakeContext()
    with pytest.raises(Retryable):
        run(mailer, ctx, to=[ADA, BOB])
    result = run(mailer, ctx, to=[ADA, BOB])
    assert (result.delivered, result.refused[0].code) == ((ADA,), 554)


def test_the_checkpoint_of_the_largest_mail_fits() -> None:
    addresses = [f"{number:03}{'a' * 61}@{'b' * 63}.{'c' * 63}.{'d' * 57}" for number in range(100)]
    assert len(addresses[0]) == 250

    class Wordy(FakeMailer):
        def _answer(self, address: str) -> Refusal:
            return Refusal(address=address, code=250 if address.startswith("000") else 550, message="w" * 250)

    ctx = FakeContext()
    run(Wordy(), ctx, to=addresses)
    assert len(ctx.saved_checkpoints[-1]) < 64 * 1024


@pytest.mark.parametrize("error", [Fatal("no"), Retryable("later"), Cancelled("stop")])
def test_what_the_mailer_raises_is_passed_on(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        run(FakeMailer(error=error))


def test_a_cancel_is_heard() -> None:
    with pytest.raises(Cancelled):
        run(FakeMailer(), FakeContext(cancelled=True))


def test_the_exchange_ends_before_the_deadline() -> None:
    mailer = FakeMailer()
    run(mailer, FakeContext(left=60))
    run(mailer, FakeContext(left=2))
    assert mailer.timeouts == [55, 0]


def test_attachments_are_inline_or_artifacts() -> None:
    mailer, ctx = FakeMailer(), FakeContext(artifacts={ARTIFACT: b"\x00\xff"})
    run(mailer, ctx, attachments=[inline(), {"name": "b.bin", "artifact": ARTIFACT}])
    attached = mailer.mails[0][0].attachments
    assert [(file.name, file.content_type, file.content) for file in attached] == [
        ("a.pdf", "application/pdf", b"abc"),
        ("b.bin", "application/octet-stream", b"\x00\xff"),
    ]


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("a.PDF", None, "application/pdf"),
        ("a.csv", "text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("a.csv.gz", None, "application/octet-stream"),
        ("a.eml", None, "application/octet-stream"),
        ("data:text,x", None, "application/octet-stream"),
        ("a", None, "application/octet-stream"),
    ],
)
def test_a_type_is_given_or_suggested_by_the_name(name: str, given: str | None, used: str) -> None:
    (file,) = decode(attachments=[inline(name, content_type=given)]).attachments
    assert file.media_type == used


def test_an_artifact_that_is_not_there_is_fatal() -> None:
    with pytest.raises(Fatal, match="there is no artifact"):
        run(FakeMailer(), attachments=[{"name": "a", "artifact": ARTIFACT}])


def test_no_more_is_read_than_a_mail_may_have() -> None:
    read: list[int] = []

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return bytes(size or 0)

        def close(self) -> None:
            read.append(-1)

    ctx = FakeContext()
    ctx.open_artifact = lambda _: Endless()  # type: ignore[method-assign,assignment]
    with pytest.raises(Fatal, match="the attachments have more than the 1000 bytes"):
        run(FakeMailer(), ctx, attachments=[inline(content=b"a" * 400), {"name": "b", "artifact": ARTIFACT}])
    assert read[:2] == [601, -1]  # one byte too many, and closed


def test_a_template_takes_the_place_of_the_content() -> None:
    mailer = FakeMailer()
    run(mailer, subject=None, text=None, template="welcome", variables={"name": "Ada"})
    assert mailer.mails[0][0].content == Content(subject="welcome for Ada", text="from a template")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": []}, "to: a mail has 1 to 100 recipients, this one has 0"),
        ({"bcc": [f"a{n}@b.c" for n in range(100)]}, "to: a mail has 1 to 100 recipients, this one has 101"),
        ({"to": [f"a{n}@b.c" for n in range(101)]}, "length <= 100"),
        ({"to": [ADA, BOB, "ada"]}, r"to\[2\]: 'ada' is no address such as"),
        ({"to": ["a\u202e" * 100]}, r"to\[0\]: '(a\\u202e){40}…' holds a line break"),
        ({"cc": ["Lovelace, Ada <ada@example.org>"]}, r"cc\[0\]: '.*' has a name with punctuation"),
        ({"bcc": ["a@b.c, d@e.f"]}, r"bcc\[0\]: 'a@b.c, d@e.f' is no address"),
        ({"reply_to": "a@b.c, d@e.f"}, "reply_to: 'a@b.c, d@e.f' is no address"),
        ({"to": ["a" * 600 + "@b.c"]}, "length <= 512"),
        ({"from": ADA}, "unknown field `from`"),
        ({"headers": {}}, "unknown field `headers`"),
        ({"subject": None}, "subject: give subject and text, html or both; or a template"),
        ({"text": None}, "subject: give subject and text, html or both; or a template"),
        ({"subject": "x" * 501}, "length <= 500"),
        ({"template": "welcome"}, "subject: comes from the template"),
        ({"template": "welcome", "subject": None}, "text: comes from the template"),
        ({"variables": {"a": 1}}, "variables: only a template has any"),
        ({"text": "a\x00b"}, "text: holds NUL"),
        ({"html": "a\x00b"}, "html: holds NUL"),
        ({"attachments": [{"name": "a"}]}, "content_base64: give either this or artifact"),
        ({"attachments": [inline(artifact=ARTIFACT)]}, "content_base64: give either this or artifact"),
        ({"attachments": [inline("../a")]}, "name: is no file name"),
        ({"attachments": [inline('a"b')]}, "name: is no file name"),
        ({"attachments": [inline("..")]}, "name: is no file name"),
        ({"attachments": [inline("ü" * 101)]}, "name: has more than 200 bytes"),
        *(
            ({"attachments": [inline(content_type=given)]}, "content_type: must be a type such as")
            for given in ("pdf", "message/rfc822", "multipart/mixed; boundary=x", "a/b; x=y", "a/b\r\nX: y")
        ),
        ({"attachments": [inline(content_type="a/b\n")]}, "content_type: must be a type such as"),
        ({"attachments": [inline()] * 51}, "length <= 50"),
    ],
)
def test_a_payload_that_cannot_be_meant_is_refused_with_the_reason(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        decode(**fields)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    "fields",
    [
        lambda text: {"to": [f"Ada{text} <ada@example.org>"]},
        lambda text: {"to": [f"ada@example.org{text}"]},
        lambda text: {"cc": [f'"Ada{text}" <ada@example.org>']},
        lambda text: {"bcc": [f"ada{text}@example.org"]},
        lambda text: {"reply_to": f"ada@{text}example.org"},
        lambda text: {"subject": f"Hello{text}"},
        lambda text: {"attachments": [inline(f"a{text}.pdf")]},
        lambda text: {"attachments": [inline(content_type=f"application/pdf{text}")]},
        lambda text: {"attachments": [inline(content_type=f"text/plain; charset=utf-8{text}")]},
    ],
)
def test_no_field_brings_a_header_or_an_address_of_its_own(
    fields: Callable[[str], dict[str, Any]], hostile: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"(is|has|holds|must be) "):
        decode(**fields(hostile))


def test_the_description_tells_nothing_private() -> None:
    assert decode().describe() == "1 recipient"
    payload = decode(
        subject=None,
        text=None,
        cc=[BOB, CY],
        attachments=[inline(), inline("b")],
        template="welcome",
        variables={"name": "Ada"},
    )
    assert payload.describe() == "3 recipients, 2 attachments, template welcome"


def test_the_kind_is_declared_for_the_email_queue() -> None:
    assert (send.name, send.queue.name) == ("email.send", "email")
    assert send.ports == {"mailer": Mailer, "templates": Templates}


def test_the_attempts_outlast_a_greylist_and_an_hour_of_an_outage() -> None:
    least = sum(
        min(send.backoff.cap, send.backoff.base * send.backoff.factor**attempt) * (1 - send.backoff.jitter)
        for attempt in range(send.max_attempts - 1)
    )
    assert least > 3600
