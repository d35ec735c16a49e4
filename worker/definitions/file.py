"""Reading one file: its TOML, its fields, and what a check says about it."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from worker.definitions.checks import Complaint
from worker.definitions.faults import Fault
from worker.definitions.lines import line_of
from worker.definitions.parameter import Parameter
from worker.definitions.report import Chart, Column, Report, ReportTable
from worker.definitions.source import LoadTable, Source
from worker.definitions.statement import Statement
from worker.definitions.template import Template

T = TypeVar("T", bound=msgspec.Struct)

# What stands in tables by name: msgspec's errors do not say which of them, so each is tried alone.
_NAMED: Mapping[type, Mapping[str, type]] = {
    Source: {"tables": LoadTable},
    Statement: {"parameters": Parameter},
    Report: {"parameters": Parameter, "tables": ReportTable, "charts": Chart},
    ReportTable: {"columns": Column},
    Template: {"parameters": Parameter},
}
_SYNTAX = re.compile(r" \(at line (\d+), column \d+\)$")
_WHERE = re.compile(r" - at (?:`key` in )?`\$\.?([^`]*)`$")
_FIELD = re.compile(r" unknown field `(.*)`")


def read(
    path: Path, kind: type[T], check: Callable[[T, Path], Iterable[Complaint]], faults: list[Fault]
) -> T | None:
    """Read and check a file; None, with faults added, where it cannot be used."""
    try:
        text = path.read_text("utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeError) as error:
        faults.append(Fault(path, 1, f"cannot be read: {error}"))
        return None
    except tomllib.TOMLDecodeError as error:
        at = _SYNTAX.search(str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        faults.append(Fault(path, line, _SYNTAX.sub("", str(error))))
        return None
    complaints = _misfits(document, kind, ())
    definition = None if complaints else msgspec.convert(document, kind)
    if definition is not None:
        complaints = list(check(definition, path))
    faults += (Fault(path, line_of(text, complaint.path), complaint.reason) for complaint in complaints)
    return None if complaints else definition


def _misfits(document: object, kind: type, path: tuple[str, ...]) -> list[Complaint]:
    """What msgspec finds wrong; in the named parts first, each for itself."""
    try:
        msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        inside = [
            complaint
            for field, part in _NAMED.get(kind, {}).items()
            for name, value in _tables(document, field)
            for complaint in _misfits(value, part, (*path, field, name))
        ]
        return inside or [_complaint(error, path)]
    return []


def _tables(document: object, field: str) -> Iterable[tuple[str, object]]:
    inner = document.get(field) if isinstance(document, dict) else None
    return inner.items() if isinstance(inner, dict) else ()


def _complaint(error: msgspec.ValidationError, path: tuple[str, ...]) -> Complaint:
    text = str(error)
    where = _WHERE.search(text)
    below = tuple(re.findall(r"\w+", where[1])) if where else ()
    unknown = _FIELD.search(text)
    return Complaint((*path, *below, *([unknown[1]] if unknown else [])), _WHERE.sub("", text))
