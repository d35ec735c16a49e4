"""Reports: those there are, a new one, and trying them out without a job."""

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from rich.markup import escape
from rich.table import Column, Table

from ops.cli.declared import read_definitions
from ops.cli.environment import read_settings
from ops.cli.site import console, found_settings
from worker.adapters.report import DefinedReports
from worker.adapters.report.house import HOUSE
from worker.adapters.report.rehearsal import Rehearsal
from worker.adapters.sql import Sources
from worker.contract import JobError
from worker.contract.ports import ReportFormat, ReportOrder
from worker.definitions import Definitions, Parameter, Report
from worker.definitions.checks import NAME, NAMING
from worker.settings import Settings

FORMATS = ("pdf", "xlsx", "csv", "html")
_STANDARD_OUTPUT = Path("-")
FILES = ("report.toml", "layout.typ", "layout.html")


@click.group()
def reports() -> None:
    """Reports: list them, begin one, try them out."""


@reports.command("list")
def list_reports() -> None:
    """List all reports with their parameters and tables."""
    known = read_definitions(read_settings())
    table = Table(
        Column("report", no_wrap=True),
        "title",
        "parameters",
        "tables",
        Column("where", overflow="fold"),
        box=None,
    )
    for name, report in known.reports.items():
        table.add_row(*map(escape, _row(name, report, known.report_folders[name])))
    console().print(table)


@reports.command()
@click.argument("name")
def new(name: str) -> None:
    """Begin a report NAME: a definition that works, and the layouts, to be changed."""
    settings = read_settings()
    if not NAME.fullmatch(name):
        raise click.ClickException(f"{name!r} is no name: {NAMING}")
    if settings.definitions_path is None:
        raise click.ClickException("set JOBYARD_DEFINITIONS to the folder of your definitions first")
    folder = settings.definitions_path / "reports" / name
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.ClickException(f"{folder} is there already; nothing was written") from None
    for file in FILES:
        shutil.copyfile(HOUSE / file, folder / file)
    click.echo(f"{folder}: {', '.join(FILES)}\ntry it: jobyard reports preview {name}")


@reports.command()
@click.argument("name", required=False)
def check(name: str | None) -> None:
    """Try out the report NAME, or all: plan queries, draw charts and set layouts, with made-up rows."""
    settings = found_settings()
    known = read_definitions(settings)
    names = list(known.reports) if name is None else [_require(known, name)]
    faults = 0
    for each in names:
        rehearsal = Rehearsal(known, each, Sources(settings, known))
        found = list(rehearsal.faults())
        faults += len(found)
        click.echo("\n".join(map(str, found)) if found else f"{each}: good")
        if rehearsal.unplanned is not None:
            click.echo(f"{each}: its queries were not planned: {rehearsal.unplanned}", err=True)
    if faults:
        raise click.ClickException(f"{faults} fault{'s' if faults > 1 else ''}")


@reports.command()
@click.argument("name")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE", help="JSON, or a plain text.")
@click.option("--format", "format_", type=click.Choice(FORMATS), help="By the output's ending, or else pdf.")
@click.option("--table", help="Which table a csv holds.")
@click.option(
    *("-o", "--output"),
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="NAME.FORMAT otherwise; - is standard output.",
)
def preview(
    name: str, params: tuple[str, ...], format_: ReportFormat | None, table: str | None, output: Path | None
) -> None:
    """Render the report NAME into a file, here and now, without a job."""
    settings = found_settings()
    known = read_definitions(settings)
    report = known.reports[_require(known, name)]
    suggested = output.suffix.removeprefix(".") if output else ""
    wanted: Any = format_ or (suggested if suggested in FORMATS else "pdf")
    order = ReportOrder(
        report=name, format=wanted, params=_params(report, params), table=table, operator=True
    )
    path = output or Path(f"{name}.{wanted}")
    rendered = _render(settings, known, order, path)
    for each, count in rendered.items():
        click.echo(f"{each}: {count:,} rows", err=True)
    if path != _STANDARD_OUTPUT:
        click.echo(path)


def _render(settings: Settings, known: Definitions, order: ReportOrder, path: Path) -> Mapping[str, int]:
    try:
        with _written(path) as file:
            return DefinedReports(known, Sources(settings, known)).render(order, file, lambda _: None).rows
    except JobError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of the one there when it is whole; a device or a pipe is written to."""
    if path == _STANDARD_OUTPUT:
        yield sys.stdout.buffer
        return
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    path = path.resolve()  # a link leads to its file, and stays
    unfinished = path.with_name(path.name + ".part")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _row(name: str, report: Report, folder: Path) -> Iterator[str]:
    yield name
    yield report.title
    yield ", ".join(map(_named, report.parameters, report.parameters.values()))
    yield ", ".join(report.tables)
    yield str(folder)


def _named(name: str, parameter: Parameter) -> str:
    needed = parameter.required and parameter.default is None
    return f"{name} ({parameter.type}{', required' if needed else ''})"


def _require(known: Definitions, name: str) -> str:
    if name not in known.reports:
        raise click.ClickException(f"there is no report {name!r}; there are: {', '.join(known.reports)}")
    return name


def _params(report: Report, given: tuple[str, ...]) -> dict[str, Any]:
    """The parameters as a job would give them."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.ClickException(f"-p {wrong[0]}: expected KEY=VALUE")
    return {name: _value(report.parameters.get(name), value) for name, _, value in pairs}


def _value(parameter: Parameter | None, text: str) -> Any:
    """JSON where it is some; a text, a date or an id need no quotation marks."""
    plain = (
        parameter is not None
        and not parameter.list
        and parameter.type in {"text", "date", "timestamp", "uuid"}
    )
    if plain:
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
