"""The bytes of a mail: nothing that is put into one can be taken for something else."""

from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.adapters.mail.fields import field, mailbox_field, text_field
from worker.adapters.mail.message import compose
from worker.contract.ports import Attachment, Content, Mail, Mailbox

SENDER = Mailbox("jobyard@example.org", "Jobyard")
FIELDS = ["Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted"]

# Whatever a payload may hold there, and encoded words on top, which it may not.
lines = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=120)
names = lines.map(lambda text: "".join(set(text) - set('/\\"'))).filter(lambda name: name.strip(". "))
encoded = st.sampled_from(
    ["=?utf-8?q?=0D=0AX:_y?=", "a =?utf-8?b?DQo=?= b", "=?", "?=", "=?x?=", "  ", " x "]
)


def written(subject: str = "Hello", name: str = "") -> bytes:
    content = Content(subject=subject, text="text", html=None)
    mail = Mail(
        id="1", date=datetime(2026, 1, 1, tzinfo=UTC), to=[Mailbox("ada@example.org", name)], content=content
    )
    return compose(mail, SENDER)


def head_of(message: bytes) -> list[str]:
    """Its fields, unfolded as RFC 5322 says it (section 2.2.3), and by nobody's parser."""
    head = message.partition(b"\r\n\r\n")[0].decode()
    assert "\r" not in head.replace("\r\n", "")
    assert "\n" not in head.replace("\r\n", "")
    return head.replace("\r\n ", " ").split("\r\n")


@given(lines | encoded)
@example("x" * 500)
@example("ä" * 500)
@example("a" + " " * 200 + "b")
def test_a_subject_is_one_field_whatever_it_says(subject: str) -> None:
    fields = head_of(written(subject))
    assert [line.split(":")[0] for line in fields[:6]] == FIELDS
    value = fields[3].partition(": ")[2]
    assert str(make_header(decode_header(value))).split() == subject.split()


@given(lines | encoded)
def test_a_name_is_one_field_and_brings_no_address(name: str) -> None:
    fields = head_of(written(name=name))
    assert [line.split(":")[0] for line in fields[:6]] == FIELDS
    assert fields[2].endswith("ada@example.org" if not name else " <ada@example.org>")
    phrase = fields[2].removeprefix("To: ").removesuffix("<ada@example.org>").strip()
    assert phrase.isascii()
    if not name.isascii():
        assert not set(phrase) & set('<>@,;:"')


@given(names, st.binary(max_size=300))
@example("a" * 200, b"")
@example("ü" * 100, b"\r\n.\r\n")
@example("a;b=c'd%41*0=e", b"")
def test_an_attachment_keeps_its_name_and_every_byte(name: str, content: bytes) -> None:
    attachment = Attachment(name=name, content_type="text/csv; charset=utf-8", content=content)
    mail = Mail(
        id="1",
        date=datetime(2026, 1, 1, tzinfo=UTC),
        content=Content(subject="x", text="x", html="<p>x"),
        attachments=[attachment],
    )
    message = compose(mail, SENDER)
    assert message.isascii()
    assert max(map(len, message.split(b"\r\n"))) <= 998
    assert b"\r" not in message.replace(b"\r\n", b"")
    assert b"\n" not in message.replace(b"\r\n", b"")
    parsed = message_from_bytes(message, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    (found,) = parsed.iter_attachments()
    assert found.get_payload(decode=True) == content
    assert [header for header in found if header not in {"Content-Disposition", "Content-Type"}] == [
        "Content-Transfer-Encoding",
        "MIME-Version",
    ]
    assert (found.get_filename() or "").split() == name.split()


@given(st.text(max_size=300))
@example("\r.\r\n.\n\r\n.\r\n" + "x" * 2000)
@example("ä\r.\n.\r\nFrom me")
def test_a_text_has_proper_line_ends_and_stays_the_same(text: str) -> None:
    text = text.encode(errors="replace").decode().replace("\x00", "")
    mail = Mail(id="1", date=datetime(2026, 1, 1, tzinfo=UTC), content=Content(subject="x", text=text))
    message = compose(mail, SENDER)
    assert b"\r" not in message.replace(b"\r\n", b"")
    assert b"\n" not in message.replace(b"\r\n", b"")
    assert max(map(len, message.split(b"\r\n"))) <= 998
    parsed = message_from_bytes(message, policy=policy.default)
    assert isinstance(parsed, EmailMessage)
    now = parsed.get_content().replace("\r\n", "\n").removesuffix("\n")
    assert now == text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")


@pytest.mark.parametrize("value", ["a\r\nb", "a\r\n\r\n b", "a\nb", "a\rb", "a\r\n \r\n b", "a\x00", "a\r\n"])
def test_a_field_that_would_end_early_is_our_defect(value: str) -> None:
    with pytest.raises(ValueError, match="the field X holds a line break"):
        field("X", value)


def test_fields_are_folded_and_encoded_only_where_they_must_be() -> None:
    assert text_field("Subject", "Hello") == "Subject: Hello\r\n"
    assert text_field("Subject", "Grüße") == "Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
    assert mailbox_field("To", [Mailbox("a@b.c", "Ada B"), Mailbox("d@e.f", 'X, "Y" \\')]) == (
        'To: Ada B <a@b.c>,\r\n "X, \\"Y\\" \\\\" <d@e.f>\r\n'
    )
