"""What was measured, as a file that further measurements add to."""

from pathlib import Path

import msgspec

from ops.bench.figures import Figures, Round
from ops.bench.machine import Machine

FILE = "results.json"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measure."""

    at: str  # RFC 3339
    machine: Machine
    rounds: list[Round]
    short: bool = False  # its figures mean nothing

    @property
    def figures(self) -> Figures:
        """Of the rounds that count."""
        return Figures(self.rounds)


Results = dict[str, Measured]  # by measure


def read(folder: Path) -> Results:
    """What was measured before; nothing where nothing was."""
    file = folder / FILE
    return msgspec.json.decode(file.read_bytes(), type=Results) if file.exists() else {}


def write(folder: Path, results: Results) -> None:
    """Replace the file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
