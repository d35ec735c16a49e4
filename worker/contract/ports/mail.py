"""Mails: who they are for, what is in them, and what the mail server said."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

LONGEST_SUBJECT = 500  # characters
LONGEST_NAME = 128  # characters of a display name
LONGEST_ADDRESS = 254  # octets (RFC 5321, section 4.5.3.1.3, without the angle brackets)
LONGEST_LOCAL_PART = 64  # octets (section 4.5.3.1.1)

_NO_ADDRESS = "is no address such as ada@example.org or Ada Lovelace <ada@example.org>"

# What ends a line somewhere, is invisible in it, or turns its direction around.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ENCODED_WORD = re.compile(r"=\?.*\?=")  # RFC 2047, and whatever a lenient reader may take for one

# RFC 5321 and 6531 (`Mailbox`), of which a quoted local part and an address literal are left out: nobody
# has them who reads mail, and they are where parsers disagree.
_BEYOND_ASCII = "\x80-\U0010ffff"
_ATOM = rf"[A-Za-z0-9!#$%&'*+\-/=?^_`{{|}}~{_BEYOND_ASCII}]+"
_LABEL = rf"[A-Za-z0-9{_BEYOND_ASCII}](?:[A-Za-z0-9\-{_BEYOND_ASCII}]{{0,61}}[A-Za-z0-9{_BEYOND_ASCII}])?"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_NAME = re.compile(r'[^"<>()\[\]\\,:;@]*|"(?:[^"\\]|\\["\\])*"')


def one_line(text: str) -> str:
    """The text, where it fits into one line of a header.

    Raises:
        ValueError: it breaks the line, holds another control character, or is encoded already.
    """
    if _UNFIT.search(text):
        raise ValueError("holds a line break or another control character")
    if _ENCODED_WORD.search(text):
        raise ValueError("is encoded (`=?...?=`); write it as it reads, it is encoded for you")
    return text


class Mailbox(msgspec.Struct, frozen=True):
    """Somebody who gets or sends mail."""

    address: str  # local part and domain, as its owner writes it: not every character is ASCII
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> "Mailbox":
        """Read `ada@example.org` or `Ada Lovelace <ada@example.org>`, one and nothing beside it.

        The parsers of `email` forgive: comments, routes, groups, lists and what is broken become some
        address or other. Nothing is forgiven here, so that whoever reads the mail later reads the same.

        Raises:
            ValueError: it is neither of the two.
        """
        one_line(text)
        name, opened, address = text.removesuffix(">").rpartition("<")
        if bool(opened) != text.endswith(">"):
            raise ValueError(_NO_ADDRESS)
        _check_address(address)
        return cls(address, _name(name.strip(" ")))

    @property
    def local_part(self) -> str:
        """What stands before the @."""
        return self.address.rpartition("@")[0]

    @property
    def domain(self) -> str:
        """What stands behind the @."""
        return self.address.rpartition("@")[2]

    @property
    def identity(self) -> tuple[str, str]:
        """What two spellings of one mailbox share: a domain has no case, a local part may have."""
        return self.local_part, self.domain.lower()


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with a mail."""

    name: str  # one line, without slash, backslash and quotation mark
    content_type: str  # type/subtype, and perhaps a charset
    content: bytes


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail says; one body at least."""

    subject: str
    text: str | None = None
    html: str | None = None


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail, without its sender, which is the operator's to say."""

    id: str  # becomes its Message-ID; one mail has one, however often it is sent
    date: datetime
    to: Sequence[Mailbox] = ()
    cc: Sequence[Mailbox] = ()
    reply_to: Mailbox | None = None
    content: Content
    attachments: Sequence[Attachment] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What the mail server said of somebody whose mail it did not take."""

    address: Annotated[str, Meta(description="Whose mail.", examples=["bob@example.org"])]
    code: Annotated[int, Meta(description="Reply code of SMTP (RFC 5321, section 4.2).", examples=[550])]
    message: Annotated[
        str, Meta(description="The server's words, on one line and cut.", examples=["no such user"])
    ]


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """How a mail went; each recipient is in one of the three."""

    message_id: str  # without angle brackets
    delivered: tuple[str, ...] = ()  # addresses
    refused: tuple[Refusal, ...] = ()  # for good
    put_off: tuple[Refusal, ...] = ()  # for now


class Mailer(Protocol):
    """The operator's mail server."""

    @property
    def max_bytes(self) -> int:
        """The largest mail that may be sent, encoded: attachments grow by more than a third."""

    def send(
        self, mail: Mail, recipients: Sequence[Mailbox], timeout: float, check: Callable[[], None]
    ) -> Sent:
        """Hand the mail over for these recipients; only the headers name others.

        Args:
            mail: what to send.
            recipients: who gets it.
            timeout: seconds for the whole exchange.
            check: called between its steps until the mail itself is on its way; what it raises ends the
                exchange before anybody got anything, and is passed on.

        Raises:
            Fatal: no mail server is configured, or it cannot take this mail, or it refuses the sender.
            Retryable: it is away, or puts the whole mail off.
        """


class Templates(Protocol):
    """The operator's templates of mails."""

    def render(self, name: str, variables: Mapping[str, Any]) -> Content:
        """Fill in a template.

        Raises:
            Fatal: there is none of that name, a variable does not fit, or the template is at fault.
        """


def _name(phrase: str) -> str:
    if not _NAME.fullmatch(phrase):
        raise ValueError('has a name with punctuation, which stands in quotes: "Lovelace, Ada" <...>')
    name = re.sub(r"\\(.)", r"\1", phrase[1:-1]).strip() if phrase.startswith('"') else phrase
    if len(name) > LONGEST_NAME:
        raise ValueError(f"has a name of more than {LONGEST_NAME} characters")
    return one_line(name)  # without backslashes it may be an encoded word after all


def _check_address(address: str) -> None:
    # In the compatibility form too: somebody on the way may turn a full-width @ or dot into a real one.
    for form in (address, unicodedata.normalize("NFKC", address)):
        found = _ADDRESS.fullmatch(form)
        if found is None or any(letter.isspace() for letter in form):
            raise ValueError(_NO_ADDRESS)
        if len(found[1].encode()) > LONGEST_LOCAL_PART or len(form.encode()) > LONGEST_ADDRESS:
            raise ValueError("is longer than an address can be")
