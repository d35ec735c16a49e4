"""The bytes of a mail (RFC 5322, MIME), as they go over the wire."""

import email.policy
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.utils import format_datetime

from worker.adapters.mail.envelope import envelope
from worker.adapters.mail.fields import field, mailbox_field, text_field
from worker.contract.ports import Attachment, Content, Mail, Mailbox

# Seven bits go through every mail server, whatever it announces.
POLICY = email.policy.SMTP.clone(cte_type="7bit")


def message_id(mail: Mail, sender: Mailbox) -> str:
    """The id of a mail, the same however often it is sent, so that a repeated attempt can be recognised."""
    return f"{mail.id}@{envelope(sender).rpartition('@')[2]}"


def compose(mail: Mail, sender: Mailbox) -> bytes:
    """The whole mail. Whoever gets a blind copy is not in it, for nobody here knows them.

    It is ASCII, but for the addresses that are not (RFC 6532).
    """
    return "".join(_head(mail, sender)).encode() + _body(mail.content, mail.attachments).as_bytes()


def _head(mail: Mail, sender: Mailbox) -> Iterator[str]:
    yield field("Date", format_datetime(mail.date))
    yield mailbox_field("From", [sender])
    if mail.reply_to is not None:
        yield mailbox_field("Reply-To", [mail.reply_to])
    yield mailbox_field("To", mail.to) if mail.to else field("To", "undisclosed-recipients:;")
    if mail.cc:
        yield mailbox_field("Cc", mail.cc)
    yield text_field("Subject", mail.content.subject)
    yield field("Message-ID", f"<{message_id(mail, sender)}>")
    yield field("Auto-Submitted", "auto-generated")  # RFC 3834: nobody's absence notice answers it


def _body(content: Content, attachments: Sequence[Attachment]) -> EmailMessage:
    body = EmailMessage(POLICY)
    if content.text is not None:
        body.set_content(content.text)
    if content.html is not None and content.text is not None:
        body.add_alternative(content.html, subtype="html")
    elif content.html is not None:
        body.set_content(content.html, subtype="html")
    for attachment in attachments:
        _attach(body, attachment)
    return body


def _attach(body: EmailMessage, attachment: Attachment) -> None:
    media_type, _, charset = attachment.content_type.replace(" ", "").partition(";charset=")
    maintype, _, subtype = media_type.partition("/")
    body.add_attachment(
        attachment.content,
        maintype=maintype,
        subtype=subtype,
        filename=attachment.name,
        params={"charset": charset} if charset else None,
    )
