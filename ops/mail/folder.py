"""Where the sink keeps mails: a file for each, whose name sorts by the time of its arrival."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

from ops.files import create_private, sync_folder

SENDER = "X-Envelope-From"
RECIPIENT = "X-Envelope-To"  # once for each recipient

_SUFFIX = ".eml"
_STAMP = "%Y%m%dT%H%M%S.%fZ"


class MailFolder:
    """The mails of one HOME."""

    def __init__(self, home: Path) -> None:
        self.path = home / "mail"

    def create(self) -> None:
        """Make the folder where it is missing, and clear away what a killed sink left half-written.

        Raises:
            OSError: it cannot be made.
        """
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for abandoned in self.path.glob(f".*{_SUFFIX}.*"):
            abandoned.unlink()
        sync_folder(self.path.parent)

    def store(self, sender: str, recipients: Iterable[str], content: bytes) -> Path:
        """Store a mail as it came, behind lines with its envelope: the header does not tell the Bcc.

        Returns:
            Its file, which is on the disk.

        Raises:
            OSError: it is not stored.
        """
        arrived = datetime.now(UTC)
        envelope = _envelope(sender, recipients, arrived)
        while not create_private(path := self._file(arrived), envelope, content):
            arrived += timedelta(microseconds=1)  # two mails at one instant
        return path

    def files(self) -> list[Path]:
        """The mails, newest first."""
        return sorted(self.path.glob(f"[!.]*{_SUFFIX}"), reverse=True)

    def file(self, mail_id: str) -> Path | None:
        """The mail of that id, if there is one."""
        return next((path for path in self.files() if path.stem == mail_id), None)

    def _file(self, arrived: datetime) -> Path:
        return self.path / f"{arrived:{_STAMP}}{_SUFFIX}"


def arrival(path: Path) -> datetime:
    """When the mail of that file arrived; a file that was named by somebody else says when it was written."""
    try:
        return datetime.strptime(path.stem, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _envelope(sender: str, recipients: Iterable[str], arrived: datetime) -> bytes:
    """Header lines, the last of which ends ours: whatever the mail begins with cannot add to the envelope."""
    lines = [(SENDER, sender), *((RECIPIENT, recipient) for recipient in recipients)]
    lines.append(("Received", f"by jobyard mail-sink; {format_datetime(arrived)}"))
    return "".join(f"{name}: {_one_line(value)}\r\n" for name, value in lines).encode()


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
