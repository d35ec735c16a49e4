"""Reading the folders of definitions, and checking each against the others."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from worker.definitions.checks import (
    NAME,
    Complaint,
    check_report,
    check_source,
    check_statement,
    check_template,
)
from worker.definitions.faults import DefinitionError, Fault
from worker.definitions.file import read
from worker.definitions.report import Report
from worker.definitions.source import Source
from worker.definitions.statement import Statement
from worker.definitions.template import Template

SHIPPED = Path(__file__).parent / "shipped"
SECTIONS: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {"sources": Source, "statements": Statement, "reports": Report, "templates": Template}
)
FILES = MappingProxyType({"reports": "report.toml", "templates": "template.toml"})  # in a folder of its own

T = TypeVar("T", bound=msgspec.Struct)


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """All definitions, by name."""

    sources: Mapping[str, Source]
    statements: Mapping[str, Statement]
    reports: Mapping[str, Report]
    report_folders: Mapping[str, Path]  # with the layouts
    templates: Mapping[str, Template]
    template_folders: Mapping[str, Path]


def load(own: Path | None) -> Definitions:
    """Read the definitions that come along and one's own; of two with the same name one's own stands.

    Args:
        own: the folder of the setting `definitions`, with the folders sources, statements, reports and
            templates; each of them may be missing.

    Raises:
        DefinitionError: lists everything that is wrong, with file and line.
    """
    if own is not None and not own.is_dir():
        raise DefinitionError([Fault(own, 1, "there is no such folder; JOBYARD_DEFINITIONS names it")])
    faults: list[Fault] = []
    files = {section: _find([SHIPPED, *([own] if own else [])], section, faults) for section in SECTIONS}

    def read_all(
        section: str, kind: type[T], check: Callable[[T, Path], Iterable[Complaint]]
    ) -> dict[str, T]:
        read_each = {name: read(path, kind, check, faults) for name, path in files[section].items()}
        return {name: definition for name, definition in read_each.items() if definition is not None}

    sources = read_all("sources", Source, lambda source, _: check_source(source))
    known = set(files["sources"])
    definitions = Definitions(
        sources=sources,
        statements=read_all("statements", Statement, lambda statement, _: check_statement(statement, known)),
        reports=read_all("reports", Report, lambda report, path: check_report(report, known, path.parent)),
        report_folders={name: path.parent for name, path in files["reports"].items()},
        templates=read_all(
            "templates", Template, lambda template, path: check_template(template, path.parent)
        ),
        template_folders={name: path.parent for name, path in files["templates"].items()},
    )
    if faults:
        raise DefinitionError(faults)
    return definitions


def _find(folders: Iterable[Path], section: str, faults: list[Fault]) -> dict[str, Path]:
    """The files of a section by name, a later folder's in place of an earlier one's."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((folder / section).glob("*")):
            if path.name.startswith((".", "README")):
                continue
            name, file = (path.name, path / FILES[section]) if section in FILES else (path.stem, path)
            if not NAME.fullmatch(name):
                faults.append(Fault(path, 1, "a name is lower-case letters, digits and _, from a letter on"))
            elif file.suffix != ".toml" or not file.is_file():
                faults.append(Fault(path, 1, f"expected {FILES.get(section, 'a file NAME.toml')} here"))
            else:
                found[name] = file
    return found
