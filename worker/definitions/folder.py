"""Reading the folders of definitions, and checking each against the others."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import msgspec

from worker.definitions.checks import (
    NAME,
    NAMING,
    check_report,
    check_source,
    check_statement,
    check_template,
)
from worker.definitions.complaint import Complaint
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
_ASIDE = (".", "README")  # beginnings of names that are none of ours

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
    """Read all definitions: those that come along, and one's own, which stand in place of namesakes.

    Args:
        own: the folder of the setting `definitions`, with the folders sources, statements, reports and
            templates; each of them may be missing.

    Raises:
        DefinitionError: lists everything that is wrong, with file and line.
    """
    folders = [SHIPPED] if own is None else [SHIPPED, own]
    faults = [] if own is None else list(_strangers(own))
    files = {section: _find(folders, section, faults) for section in SECTIONS}
    known = set(files["sources"])

    def read_all(
        section: str, kind: type[T], check: Callable[[T, Path], Iterable[Complaint]]
    ) -> dict[str, T]:
        read_each = {name: read(path, kind, check, faults) for name, path in files[section].items()}
        return {name: definition for name, definition in read_each.items() if definition is not None}

    definitions = Definitions(
        sources=read_all("sources", Source, lambda source, path: check_source(source, path.stem)),
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


def _strangers(own: Path) -> Iterator[Fault]:
    """Folders whose names are none of ours: misspellings, whose files would be ignored silently."""
    if not own.is_dir():
        yield Fault(own, 1, "there is no such folder; JOBYARD_DEFINITIONS names it")
        return
    for path in sorted(own.iterdir()):
        if path.is_dir() and path.name not in SECTIONS and not path.name.startswith(_ASIDE):
            yield Fault(path, 1, f"is none of the folders {', '.join(SECTIONS)}")


def _find(folders: Iterable[Path], section: str, faults: list[Fault]) -> dict[str, Path]:
    """The files of a section by name, a later folder's in place of an earlier one's."""
    found: dict[str, Path] = {}
    for folder in (folder / section for folder in folders):
        if folder.is_dir():
            paths = [path for path in sorted(folder.iterdir()) if not path.name.startswith(_ASIDE)]
            found |= dict(filter(None, (_named(section, path, faults) for path in paths)))
        elif folder.exists():
            faults.append(Fault(folder, 1, "is no folder"))
    return found


def _named(section: str, path: Path, faults: list[Fault]) -> tuple[str, Path] | None:
    """The name and the file of a definition; None, with a fault added, where it is none."""
    inner = FILES.get(section)
    name, file = (path.name, path / inner) if inner else (path.stem, path)
    if not file.is_file() or file.suffix != ".toml":
        faults.append(Fault(path, 1, f"expected {f'a folder NAME with {inner}' if inner else 'NAME.toml'}"))
    elif not NAME.fullmatch(name):
        faults.append(Fault(path, 1, f"{name!r} is no name: {NAMING}"))
    else:
        return name, file
    return None
