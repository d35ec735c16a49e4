"""What is wrong with the files, and where."""

from collections.abc import Sequence
from pathlib import Path

import msgspec


class Fault(msgspec.Struct, frozen=True, order=True):
    """One thing that is wrong."""

    file: Path
    line: int  # counted from 1
    reason: str

    def __str__(self) -> str:
        """As compilers say it."""
        return f"{self.file}:{self.line}: {self.reason}"


class DefinitionError(ValueError):
    """Definitions that cannot be used; the text has one line for each fault."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, sorted(faults))))
        self.faults = tuple(sorted(faults))
