"""Reading one file: its TOML, its fields, and what a check says about it."""

import re
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from worker.definitions.complaint import Complaint
from worker.definitions.faults import Fault
from worker.definitions.fields import logins, misfits
from worker.definitions.lines import Lines

T = TypeVar("T", bound=msgspec.Struct)

_SYNTAX = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read(
    path: Path, kind: type[T], check: Callable[[T, Path], Iterable[Complaint]], faults: list[Fault]
) -> T | None:
    """Read and check a file; None, with faults added, where it cannot be used."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        faults.append(Fault(path, 1, f"cannot be read: {_why(error)}"))
        return None
    document = _parsed(path, text, faults)
    if document is None:
        return None
    complaints = [*misfits(document, kind), *logins(document)]
    definition = None if complaints else msgspec.convert(document, kind)
    if definition is not None:
        complaints = list(check(definition, path))
    if complaints:
        lines = Lines(text)
        faults += (Fault(path, lines.of(complaint.path), complaint.reason) for complaint in complaints)
    return None if complaints else definition


def _parsed(path: Path, text: str, faults: list[Fault]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except RecursionError:
        faults.append(Fault(path, 1, "is nested too deeply"))
    except ValueError as error:  # tomllib's own, and that of a number with too many digits
        at = _SYNTAX.search(str(error))
        line = int(at[1]) if at and at[1] else text.rstrip("\n").count("\n") + 1
        faults.append(Fault(path, line, _SYNTAX.sub("", str(error))))
    return None


def _why(error: OSError | UnicodeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
