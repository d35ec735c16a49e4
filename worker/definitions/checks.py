"""What must hold of a definition beyond the types of its fields."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from worker.definitions.parameter import Parameter, ParameterError
from worker.definitions.report import Report
from worker.definitions.source import Source
from worker.definitions.statement import Statement
from worker.definitions.template import HTML, SUBJECT, TEXT, Template

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
LAYOUTS = ("layout.typ", "layout.html")

_ORDERED = {"integer", "number", "date", "timestamp"}


class Complaint(NamedTuple):
    """Something wrong, at a path of keys in its file."""

    path: tuple[str, ...]
    reason: str


def check_source(source: Source) -> Iterator[Complaint]:
    """Tables that upsert need a key."""
    for name, table in source.tables.items():
        if "upsert" in table.modes and not table.key:
            yield Complaint(("tables", name, "modes"), "upsert needs `key`, the columns of a unique index")
        if table.columns and not set(table.key) <= set(table.columns):
            yield Complaint(("tables", name, "columns"), "must hold the columns of `key`")


def check_statement(statement: Statement, sources: Collection[str]) -> Iterator[Complaint]:
    """The source is known, and the SQL names the parameters that there are."""
    yield from _check_source_name(statement.source, sources)
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
        if "data" in chart.spec:
            yield Complaint(("charts", name, "spec", "data"), "a chart draws its table, and no other data")
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
        path = ("parameters", name)
        yield from _check_name(path)
        for field in ("min", "max"):
            if getattr(parameter, field) is not None and parameter.type not in _ORDERED:
                yield Complaint((*path, field), f"a {parameter.type} has none")
        if parameter.default is not None:
            try:
                parameter.value(parameter.default)
            except (ParameterError, TypeError) as error:
                yield Complaint((*path, "default"), f"does not fit its own parameter: {error}")


def _check_sql(path: tuple[str, ...], sql: str, parameters: Mapping[str, Parameter]) -> Iterator[Complaint]:
    for word in sorted(_words(sql) - set(parameters)):
        yield Complaint(path, f":{word} is no parameter; write \\:{word} where none is meant")


def _check_use(statements: Iterable[str], parameters: Mapping[str, Parameter]) -> Iterator[Complaint]:
    used = {word for sql in statements for word in _words(sql)}
    for name in sorted(set(parameters) - used):
        yield Complaint(("parameters", name), "no SQL uses it")


def _words(sql: str) -> set[str]:
    """The parameters that a statement names, as SQLAlchemy finds them."""
    return set(text(sql).compile().params)


def _check_name(path: tuple[str, ...]) -> Iterator[Complaint]:
    if not NAME.fullmatch(path[-1]):
        yield Complaint(path, f"{path[-1]!r} is no name: lower-case letters, digits and _, from a letter on")


def _check_links(folder: Path) -> Iterator[Complaint]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            yield Complaint((), f"{path.relative_to(folder)} is a link; a layout stays in its folder")
