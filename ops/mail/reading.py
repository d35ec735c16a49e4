"""A stored mail as people read it. Whoever can reach the sink can have written anything into it."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from ops.mail.folder import RECIPIENT, SENDER, arrival

_STRUCTURED = HeaderRegistry()
_PLAIN = HeaderRegistry(use_default_map=False)


@dataclass(frozen=True)
class Attachment:
    """A part that is no text to read."""

    name: str
    type: str
    size: int  # bytes, decoded


@dataclass(frozen=True)
class StoredMail:
    """One mail of the folder."""

    path: Path
    arrived: datetime
    size: int  # bytes
    sender: str  # of the envelope, as are the recipients
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def id(self) -> str:
        """What `jobyard mail show` takes."""
        return self.path.stem

    def header(self, name: str) -> str:
        """A header, decoded; empty where it is missing."""
        return str(self.message.get(name, ""))

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """What comes along with the text."""
        return tuple(
            Attachment(_file_name(part), part.get_content_type(), len(_bytes(part)))
            for part in self.message.walk()
            if _is_attached(part)
        )

    @property
    def text(self) -> str | None:
        """The plain text; None where there is none."""
        plain = (part for part in self.message.walk() if part.get_content_type() == "text/plain")
        return next((_decoded(part) for part in plain if not _is_attached(part)), None)


def read(path: Path) -> StoredMail:
    """Read a mail.

    Raises:
        FileNotFoundError: it is gone.
    """
    content = path.read_bytes()
    message = message_from_bytes(content, policy=default.clone(header_factory=_header))
    envelope = list(_envelope(message))
    return StoredMail(
        path=path,
        arrived=arrival(path),
        size=len(content),
        sender=next((value for name, value in envelope if name == SENDER), ""),
        recipients=tuple(value for name, value in envelope if name == RECIPIENT),
        message=message,
    )


def harmless(text: str) -> str:
    """The text without what steers a terminal: control and format characters, which also turn text around."""
    return "".join(_harmless(character) for character in text.replace("\r\n", "\n"))


def _harmless(character: str) -> str:
    if character in "\n\t" or character.isprintable():
        return character
    return " " if unicodedata.category(character) == "Zs" else "\N{REPLACEMENT CHARACTER}"


def _header(name: str, value: str) -> Any:
    try:
        return _STRUCTURED(name, value)
    except Exception:  # noqa: BLE001 - the parsers of addresses and parameters trip over malformed ones
        return _PLAIN(name, value)


def _envelope(message: EmailMessage) -> Iterator[tuple[str, str]]:
    """The lines that the sink put before the mail: up to the first that is neither, all are its own."""
    for name, value in message.raw_items():  # as they stand: nothing in an address is an encoded word
        if name not in {SENDER, RECIPIENT}:
            return
        yield name, str(value).encode(errors="surrogateescape").decode(errors="replace")


def _is_attached(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or bool(_file_name(part))


def _file_name(part: EmailMessage) -> str:
    try:
        return part.get_filename() or ""
    except ValueError:  # RFC 2231 with a charset of nonsense
        return ""


def _bytes(part: EmailMessage) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _decoded(part: EmailMessage) -> str:
    content = _bytes(part)
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except (LookupError, ValueError):  # no such charset, or none that can replace
        return content.decode("utf-8", "replace")
