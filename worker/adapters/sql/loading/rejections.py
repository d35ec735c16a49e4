"""Rejected rows: how many there are, and why."""

import csv
import io
from typing import NamedTuple

READ_ON = 1000  # rejected rows after which a load that is refused anyhow stops looking for more
_LONGEST_ROW = 500  # characters
_LONGEST_REASON = 300

# What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


class Refused(Exception):  # noqa: N818 - a decision, not a defect
    """Nothing of the file is to be applied; the text says why, for the client."""


class Rejection(NamedTuple):
    """One row that was not taken."""

    line: int  # the physical line on which it begins, counted from 1
    reason: str
    row: str  # as it stands in the file


class Rejections:
    """The rejected rows of one load."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._rejections: list[Rejection] = []

    @property
    def count(self) -> int:
        """How many rows were rejected so far."""
        return len(self._rejections)

    def add(self, line: int, reason: str, row: str) -> None:
        """Reject a row.

        Raises:
            Refused: there are so many that one need not see more.
        """
        kept = Rejection(line, _plain(reason, _LONGEST_REASON), _plain(row, _LONGEST_ROW))
        self._rejections.append(kept)
        if self.count > max(self._allowed, READ_ON):
            raise Refused(f"{self._story()}, and the file was not read further")

    def settle(self) -> None:
        """The file is at its end.

        Raises:
            Refused: more rows were rejected than may be.
        """
        if self.count > self._allowed:
            raise Refused(self._story())

    def csv(self) -> str | None:
        """The rejected rows as a file, by their lines; None where there are none."""
        if not self._rejections:
            return None
        file = io.StringIO()
        writer = csv.writer(file)
        writer.writerow(Rejection._fields)
        writer.writerows(
            (line, _harmless(reason), _harmless(row)) for line, reason, row in sorted(self._rejections)
        )
        return file.getvalue()

    def _story(self) -> str:
        first = min(self._rejections)
        return (
            f"rejected rows: {self.count}, allowed: {self._allowed}"
            f" (the first: line {first.line}: {first.reason})"
        )


def _plain(text: str, longest: int) -> str:
    """Text that is UTF-8 and that PostgreSQL can keep, cut to a length."""
    text = text.rstrip("\r\n")
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.encode(errors="replace").decode().replace("\0", "\ufffd")


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
