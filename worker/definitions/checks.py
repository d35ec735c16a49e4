"""What must hold of a definition beyond the types of its fields."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from worker.definitions.complaint import Complaint
from worker.definitions.parameter import Parameter, ParameterError
from worker.definitions.report import Report
from worker.definitions.source import LEDGER, Source
from worker.definitions.statement import Statement
from worker.definitions.template import HTML, SUBJECT, TEXT, Template

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
NAMING = "lower-case letters, digits and _, from a letter on, 63 at most"

_ORDERED = {"integer", "number", "date", "timestamp"}
# As SQLAlchemy's `text` finds them, which a test holds this against; importing it takes a start's time.
_WORD = re.compile(r"(?<![:\w\\]):(\w+)(?![:\w])")
_DATA = {"data", "datasets", "url"}  # of Vega-Lite; a url is an image's


def check_source(source: Source, name: str) -> Iterator[Complaint]:
    """Tables that upsert need a key, and the ledger has none to load."""
    if name == LEDGER and source.tables:
        yield Complaint(("tables",), "nothing can be loaded into the platform's own ledger")
    for named, table in source.tables.items():
        if "upsert" in table.modes and not table.key:
            yield Complaint(("tables", named, "modes"), "upsert needs `key`, the columns of a unique index")
        if table.columns and not set(table.key) <= set(table.columns):
            yield Complaint(("tables", named, "columns"), "must hold the columns of `key`")


def check_statement(statement: Statement, sources: Collection[str]) -> Iterator[Complaint]:
    """The source is known, and the SQL names the parameters that there are."""
    yield from _check_source_name(statement.source, sources)
    if statement.source == LEDGER:
        yield Complaint(("source",), "no statement runs on the platform's own ledger")
    yield from _check_parameters(statement.parameters)
    yield from _check_sql(("sql",), statement.sql, statement.parameters)
    yield from _check_use([statement.sql], statement.parameters)


def check_report(report: Report, sources: Collection[str], folder: Path) -> Iterator[Complaint]:
    """As for a statement, and charts draw tables of the report, and the folder leads nowhere else."""
    yield from _check_source_name(report.source, sources)
    yield from _check_parameters(report.parameters)
    for name, table in report.tables.items():
        yield from _check_name(("tables", name))
        yield from _check_sql(("tables", name, "sql"), table.sql, report.parameters)
    yield from _check_use([table.sql for table in report.tables.values()], report.parameters)
    for name, chart in report.charts.items():
        yield from _check_name(("charts", name))
        if chart.table not in report.tables:
            yield Complaint(("charts", name, "table"), f"there is no table {chart.table!r} in this report")
        yield from _check_spec(("charts", name, "spec"), chart.spec)
    yield from _check_links(folder)


def check_template(template: Template, folder: Path) -> Iterator[Complaint]:
    """It has a subject and a body."""
    yield from _check_parameters(template.parameters)
    if not (folder / SUBJECT).is_file():
        yield Complaint((), f"there is no {SUBJECT} beside it")
    if not any((folder / body).is_file() for body in (TEXT, HTML)):
        yield Complaint((), f"there is neither {TEXT} nor {HTML} beside it")
    yield from _check_links(folder)


def _check_source_name(source: str, sources: Collection[str]) -> Iterator[Complaint]:
    if source not in sources:
        yield Complaint(
            ("source",), f"there is no source {source!r}; there are: {', '.join(sorted(sources))}"
        )


def _check_parameters(parameters: Mapping[str, Parameter]) -> Iterator[Complaint]:
    for name, parameter in parameters.items():
        yield from _check_name(("parameters", name))
        # The later ones lean on the earlier: a default is held against choices, a choice against limits.
        for check in (_check_limits, _check_choices, _check_default):
            if complaints := list(check(("parameters", name), parameter)):
                yield from complaints
                break


def _check_limits(path: tuple[str, ...], parameter: Parameter) -> Iterator[Complaint]:
    limits = {field: limit for field in ("min", "max") if (limit := getattr(parameter, field)) is not None}
    if parameter.type not in _ORDERED:
        yield from (Complaint((*path, field), f"a {parameter.type} has none") for field in limits)
        return
    misfits = [
        misfit
        for field, limit in limits.items()
        for misfit in _check_fit((*path, field), parameter.converted, limit)
    ]
    yield from misfits
    if not misfits and limits.keys() == {"min", "max"}:
        least, greatest = map(parameter.converted, limits.values())
        if least > greatest:
            yield Complaint((*path, "min"), "is greater than `max`")


def _check_choices(path: tuple[str, ...], parameter: Parameter) -> Iterator[Complaint]:
    free = msgspec.structs.replace(parameter, list=False, choices=())
    for choice in parameter.choices:
        yield from _check_fit((*path, "choices"), free.value, choice)


def _check_default(path: tuple[str, ...], parameter: Parameter) -> Iterator[Complaint]:
    if parameter.default is not None:
        yield from _check_fit((*path, "default"), parameter.value, parameter.default)


def _check_fit(
    path: tuple[str, ...], convert: Callable[[object], object], given: object
) -> Iterator[Complaint]:
    try:
        convert(given)
    except ParameterError as error:
        yield Complaint(path, f"does not fit its own parameter: {error}")


def _check_sql(path: tuple[str, ...], sql: str, parameters: Mapping[str, Parameter]) -> Iterator[Complaint]:
    for word in sorted(_words(sql) - set(parameters)):
        yield Complaint(path, f":{word} is no parameter; where none is meant write \\:{word} in a '''text'''")


def _check_use(statements: Iterable[str], parameters: Mapping[str, Parameter]) -> Iterator[Complaint]:
    used = {word for sql in statements for word in _words(sql)}
    for name in sorted(set(parameters) - used):
        yield Complaint(("parameters", name), "no SQL uses it")


def _words(sql: str) -> set[str]:
    """The parameters that a statement names."""
    return set(_WORD.findall(sql))


def _check_spec(path: tuple[str, ...], spec: object) -> Iterator[Complaint]:
    """A chart names no data, neither at its top nor in a layer or a look-up."""
    if isinstance(spec, list):
        for item in spec:
            yield from _check_spec(path, item)
    elif isinstance(spec, dict):
        for key, inner in spec.items():
            if key in _DATA:
                yield Complaint((*path, key), "a chart draws its table, and no other data")
            else:
                yield from _check_spec((*path, key), inner)


def _check_name(path: tuple[str, ...]) -> Iterator[Complaint]:
    if not NAME.fullmatch(path[-1]):
        yield Complaint(path, f"{path[-1]!r} is no name: {NAMING}")


def _check_links(folder: Path) -> Iterator[Complaint]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            yield Complaint((), f"{path.relative_to(folder)} is a link; what is beside it must be files")
