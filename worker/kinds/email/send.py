"""`email.send`: send a mail over the operator's mail server."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from worker.contract import EMAIL, Backoff, Context, Fatal, Payload, Result, Retryable, kind, minutes
from worker.contract.ports import (
    LONGEST_SUBJECT,
    Attachment,
    Content,
    Mail,
    Mailbox,
    Mailer,
    Refusal,
    Sent,
    Templates,
    one_line,
)

MOST_RECIPIENTS = 100  # what every mail server takes at once (RFC 5321, section 4.5.3.1.8)
LONGEST_FILE_NAME = 200  # octets of UTF-8: file systems take 255
SHOWN = 80  # characters of an address that is none
RESERVE = 5.0  # seconds of the deadline that are kept to note who got the mail

TOKEN = r"[A-Za-z0-9!#$&^_.+-]+"  # noqa: S105 - RFC 6838, section 4.2
MEDIA_TYPE = re.compile(rf"(?!multipart/|message/){TOKEN}/{TOKEN}(; ?charset={TOKEN})?", re.IGNORECASE)
UNNAMEABLE = set('/\\"')  # as in the names of artifacts

Address = Annotated[
    str,
    Meta(
        max_length=512,
        description="`ada@example.org` or `Ada Lovelace <ada@example.org>`; both may be international.",
        examples=["ada@example.org", "Ada Lovelace <ada@example.org>", "Zoë <zoë@bücher.example>"],
    ),
]
Recipients = Annotated[tuple[Address, ...], Meta(max_length=MOST_RECIPIENTS)]
To = Annotated[Recipients, Meta(description="Recipients; with `cc` and `bcc` at most 100.")]
Cc = Annotated[Recipients, Meta(description="More recipients, whom all can see.")]
Bcc = Annotated[Recipients, Meta(description="More recipients, whom nobody sees.")]
ReplyTo = Annotated[
    Address | None,
    Meta(description="Where answers go; unset: to the operator's sender.", examples=["desk@example.org"]),
]
Subject = Annotated[
    Annotated[str, Meta(max_length=LONGEST_SUBJECT)] | None,
    Meta(description="One line.", examples=["Your report of March"]),
]
Body = Annotated[str, Meta(max_length=2**20)]
Text = Annotated[
    Body | None, Meta(description="The mail as plain text; give it beside `html` too.", examples=["Hello\n"])
]
Html = Annotated[Body | None, Meta(description="The mail as HTML.", examples=["<p>Hello</p>"])]
Template = Annotated[
    Annotated[str, Meta(max_length=63)] | None,
    Meta(
        description="Name of a template of the operator's, in place of subject, text and html.",
        examples=["welcome"],
    ),
]
Variables = Annotated[
    dict[str, Any], Meta(description="What the template asks for.", examples=[{"name": "Ada"}])
]


class AttachedFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A file that goes with the mail: inline, or an artifact."""

    name: Annotated[
        str,
        Meta(min_length=1, description="File name that the reader sees.", examples=["report.pdf"]),
    ]
    content_type: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="Media type; unset: by the ending of the name.", examples=["application/pdf"]),
    ] = None
    content_base64: Annotated[bytes | None, Meta(description="The file itself.", examples=["AAEC"])] = None
    artifact: Annotated[
        Annotated[str, Meta(max_length=36)] | None,
        Meta(
            description="Id of an artifact of yours, which holds the file.",
            examples=["0190a7c0-0000-7000-8000-000000000000"],
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what would not reach the reader as it was meant."""
        _in_field("name", one_line, self.name)
        if set(self.name) & UNNAMEABLE or not self.name.strip(". "):
            raise ValueError("name: is no file name: no slash, backslash or quotation mark")
        if len(self.name.encode()) > LONGEST_FILE_NAME:
            raise ValueError(f"name: has more than {LONGEST_FILE_NAME} bytes of UTF-8")
        if self.content_type is not None and not MEDIA_TYPE.fullmatch(self.content_type):
            raise ValueError(
                "content_type: must be a type such as application/pdf or text/csv; charset=utf-8"
            )
        if (self.content_base64 is None) == (self.artifact is None):
            raise ValueError("content_base64: give either this or artifact")

    @property
    def media_type(self) -> str:
        """The type that was given, or the one that the name suggests."""
        if self.content_type is not None:
            return self.content_type
        suggested = _built_in_types().get(PurePosixPath(self.name).suffix.lower(), "")
        return suggested if MEDIA_TYPE.fullmatch(suggested) else "application/octet-stream"


class EmailSend(Payload, frozen=True, kw_only=True):
    """A mail. Its sender is the operator's."""

    EXAMPLE = {"to": ["ada@example.org"], "subject": "Your report of March", "text": "Here it is.\n"}  # noqa: RUF012 - nobody writes to it

    to: To = ()
    cc: Cc = ()
    bcc: Bcc = ()
    reply_to: ReplyTo = None
    subject: Subject = None
    text: Text = None
    html: Html = None
    template: Template = None
    variables: Variables = {}  # noqa: RUF012 - msgspec makes a new one for each payload
    attachments: Annotated[
        tuple[AttachedFile, ...], Meta(max_length=50, description="Files that go with it.")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what no schema can: msgspec reports a ValueError as an error of validation."""
        for field in ("to", "cc", "bcc"):
            for index, address in enumerate(getattr(self, field)):
                _check_address(f"{field}[{index}]", address)
        if self.reply_to is not None:
            _check_address("reply_to", self.reply_to)
        if not 1 <= (count := len(self.recipients)) <= MOST_RECIPIENTS:
            raise ValueError(f"to: a mail has 1 to {MOST_RECIPIENTS} recipients, this one has {count}")
        _check_content(self)

    @property
    def recipients(self) -> list[Mailbox]:
        """Everybody who gets it, once."""
        everybody: dict[tuple[str, str], Mailbox] = {}
        for mailbox in _mailboxes((*self.to, *self.cc, *self.bcc)):
            everybody.setdefault(mailbox.identity, mailbox)
        return list(everybody.values())

    def describe(self) -> str:
        """How many recipients and attachments, and which template."""
        parts = [_counted(len(self.recipients), "recipient")]
        parts += [_counted(len(self.attachments), "attachment")] if self.attachments else []
        parts += [f"template {self.template}"] if self.template else []
        return ", ".join(parts)


class EmailSent(Result, frozen=True, kw_only=True):
    """Who got the mail."""

    message_id: Annotated[
        str,
        Meta(
            description="Its Message-ID, the same however often it was tried.",
            examples=["0190a7c0-0000-7000-8000-000000000000@example.org"],
        ),
    ]
    delivered: Annotated[
        tuple[str, ...],
        Meta(description="Addresses that the mail server took it for.", examples=[["ada@example.org"]]),
    ]
    refused: Annotated[
        tuple[Refusal, ...], Meta(description="Those it refused for good, with its words.", examples=[[]])
    ]


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The checkpoint: what earlier attempts settled. Who is in it gets no second mail."""

    message_id: str
    date: datetime
    delivered: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = ()

    def after(self, sent: Sent) -> "Settled":
        """What is settled once more was sent."""
        return msgspec.structs.replace(
            self,
            message_id=sent.message_id,
            delivered=self.delivered + sent.delivered,
            refused=self.refused + sent.refused,
        )

    def open(self, recipients: Iterable[Mailbox]) -> list[Mailbox]:
        """Those who have no answer yet."""
        done = {*self.delivered, *(refusal.address for refusal in self.refused)}
        return [mailbox for mailbox in recipients if mailbox.address not in done]

    def anew(self, recipients: Iterable[Mailbox]) -> "Settled":
        """Where everybody was refused the job failed, and somebody runs it again: all are asked anew."""
        if self.delivered or self.open(recipients):
            return self
        return msgspec.structs.replace(self, refused=())


# A mail server that restarts is back within a minute; a greylist lets a second try pass after 5 to 15; and
# eight attempts over one and a half to three hours outlast most of what else puts a mail off. The deadline
# leaves a large mail time on a slow line, and the server time to look at it.
@kind(
    "email.send",
    queue=EMAIL,
    max_attempts=8,
    deadline=minutes(5),
    backoff=Backoff(base=30.0, factor=3.0, cap=3600.0),
)
def send(payload: EmailSend, ctx: Context, mailer: Mailer, templates: Templates) -> EmailSent:
    """Send a mail with text, HTML and attachments, or one made from a template.

    It has the job's id in its Message-ID, so a repeated attempt sends the same mail. What the mail server
    puts off (4xx) is tried again, for those recipients alone who have no answer yet; what it refuses (5xx)
    is not. The job succeeds once every recipient has an answer and somebody got the mail; one that failed
    because all were refused asks for all of them when it is run again.
    """
    settled = ctx.checkpoint(Settled) or Settled(message_id="", date=datetime.now(UTC))
    settled = settled.anew(payload.recipients)
    put_off: Sequence[Refusal] = ()
    if still_open := settled.open(payload.recipients):
        mail = _mail(payload, ctx, settled.date, mailer, templates)
        timeout = max(0.0, ctx.remaining() - RESERVE)
        sent = mailer.send(mail, still_open, timeout, ctx.check_cancelled)
        settled, put_off = settled.after(sent), sent.put_off
        if sent.delivered or sent.refused:
            ctx.save_checkpoint(settled)
        ctx.progress(len(settled.delivered), len(payload.recipients), "recipients")
    if put_off:
        raise Retryable(f"{len(put_off)} of {len(payload.recipients)} recipients put off: {_words(put_off)}")
    if not settled.delivered:
        raise Fatal(f"every recipient was refused: {_words(settled.refused)}")
    return EmailSent(message_id=settled.message_id, delivered=settled.delivered, refused=settled.refused)


def _mail(payload: EmailSend, ctx: Context, date: datetime, mailer: Mailer, templates: Templates) -> Mail:
    return Mail(
        id=ctx.job_id,
        date=date,
        to=_mailboxes(payload.to),
        cc=_mailboxes(payload.cc),
        reply_to=None if payload.reply_to is None else Mailbox.parse(payload.reply_to),
        content=_content(payload, templates),
        attachments=_attachments(payload.attachments, ctx, mailer.max_bytes),
    )


def _content(payload: EmailSend, templates: Templates) -> Content:
    if payload.template is not None:
        return templates.render(payload.template, payload.variables)
    return Content(subject=payload.subject or "", text=payload.text, html=payload.html)


def _attachments(files: Iterable[AttachedFile], ctx: Context, max_bytes: int) -> list[Attachment]:
    attachments, left = [], max_bytes
    for file in files:
        content = _read(file, ctx, left + 1)
        left -= len(content)
        if left < 0:
            raise Fatal(f"the attachments have more than the {max_bytes} bytes that a whole mail may have")
        attachments.append(Attachment(name=file.name, content_type=file.media_type, content=content))
    return attachments


def _read(file: AttachedFile, ctx: Context, at_most: int) -> bytes:
    if file.artifact is None:
        return file.content_base64 or b""
    ctx.check_cancelled()
    with ctx.open_artifact(file.artifact) as artifact:
        return artifact.read(at_most)


def _check_content(payload: EmailSend) -> None:
    written = [name for name in ("subject", "text", "html") if getattr(payload, name) is not None]
    if payload.template is not None and written:
        raise ValueError(f"{written[0]}: comes from the template; give one or the other")
    if payload.template is None and payload.variables:
        raise ValueError("variables: only a template has any")
    if payload.template is None and ("subject" not in written or len(written) == 1):
        raise ValueError("subject: give subject and text, html or both; or a template")
    _in_field("subject", one_line, payload.subject or "")
    for field in ("text", "html"):
        if "\x00" in (getattr(payload, field) or ""):
            raise ValueError(f"{field}: holds NUL, which no mail can (RFC 5322, section 2.2)")


def _check_address(field: str, address: str) -> None:
    try:
        Mailbox.parse(address)
    except ValueError as error:
        shown = address if len(address) <= SHOWN else address[:SHOWN] + "…"
        raise ValueError(f"{field}: {shown!r} {error}") from None


def _in_field(field: str, check: Any, text: str) -> None:
    try:
        check(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


@cache
def _built_in_types() -> dict[str, str]:
    """Python's own table, and not what this machine knows beside it."""
    return MimeTypes().types_map[True]


def _mailboxes(addresses: Iterable[str]) -> list[Mailbox]:
    return [Mailbox.parse(address) for address in addresses]


def _words(refusals: Sequence[Refusal]) -> str:
    """What the server said, and of whom."""
    said = [f"{refusal.address}: {refusal.code} {refusal.message}" for refusal in refusals]
    return "; ".join(said[:3]) + ("; ..." if len(said) > 3 else "")  # noqa: PLR2004 - three are plenty


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
