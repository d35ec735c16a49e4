"""Header fields: each a line, or several by folding, that nobody can take for two fields.

They are not left to `email.message.EmailMessage`, which parses whatever it is given: it decodes encoded
words, which may hold line breaks (CVE-2024-6923), and folds long lists of addresses wrongly where names are
not ASCII (CVE-2025-1795), in Python releases that Jobyard runs on.
"""

import re
from collections.abc import Iterable
from email.header import Header
from email.utils import quote

from worker.adapters.mail.envelope import envelope
from worker.contract.ports import Mailbox

WIDTH = 76  # characters of a line with an encoded word (RFC 2047, section 2)
LONGEST_WORD = 60  # a longer one cannot be folded as it is

_PLAIN = re.compile(r"[A-Za-z0-9 ]+")
_FOLD = re.compile(r"\r\n(?= \S)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def text_field(name: str, text: str) -> str:
    """An unstructured field, such as a subject."""
    charset = "us-ascii" if _stands_as_it_is(text) else "utf-8"
    return field(name, Header(text, charset, WIDTH, name).encode(linesep="\r\n"))


def mailbox_field(name: str, mailboxes: Iterable[Mailbox]) -> str:
    """A list of mailboxes, each on a line of its own."""
    return field(name, ",\r\n ".join(_mailbox(mailbox, name) for mailbox in mailboxes))


def field(name: str, value: str) -> str:
    """A field with its line end; the value is folded and encoded already.

    Raises:
        ValueError: the value would end the field. What clients send was checked, so this is our defect.
    """
    if _CONTROL.search(_FOLD.sub("", value)):
        raise ValueError(f"the field {name} holds a line break or another control character")
    return f"{name}: {value}\r\n"


def _mailbox(mailbox: Mailbox, field_name: str) -> str:
    address, name = envelope(mailbox), mailbox.name
    if not name:
        return address
    if _PLAIN.fullmatch(name):
        return f"{name} <{address}>"
    if name.isascii() and "=?" not in name:
        return f'"{quote(name)}" <{address}>'
    encoded = Header(name, "utf-8", WIDTH, field_name).encode(linesep="\r\n")
    return f"{encoded}\r\n <{address}>"


def _stands_as_it_is(text: str) -> bool:
    """Whether it is the same after folding, and no reader finds an encoded word in it."""
    whole = text.isascii() and "=?" not in text and "  " not in text
    return whole and max(map(len, text.split()), default=0) <= LONGEST_WORD
