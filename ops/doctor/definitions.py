"""The definitions, and the data sources behind them."""

from collections.abc import Iterator

from ops.doctor.finding import Finding
from ops.doctor.source import examine_source
from ops.embedded.postgres import WAREHOUSE
from worker import definitions
from worker.adapters import templates
from worker.adapters.report.rehearsal import Rehearsal
from worker.adapters.sql import Sources
from worker.definitions import LEDGER, SECTIONS, SHIPPED, DefinitionError, Definitions
from worker.settings import PREFIX, Settings, source_variable


def examine_definitions(settings: Settings) -> Iterator[Finding]:
    """Read the definitions as a worker does when it starts, and look at each source."""
    try:
        known = definitions.load(settings.definitions_path)
    except DefinitionError as error:
        yield from (Finding("definitions", good=False, text=str(fault)) for fault in error.faults)
        return
    counts = (f"{section}: {len(getattr(known, section))}" for section in SECTIONS)
    yield Finding("definitions", good=True, text=", ".join(counts))
    yield from (Finding("template", good=False, text=str(fault)) for fault in templates.check(known))
    for name in known.sources:
        yield from examine_source(settings, known, name)
    yield from _rehearse(settings, known)
    yield from _examine_urls(settings, known)


def _rehearse(settings: Settings, known: Definitions) -> Iterator[Finding]:
    """Plan the queries of each own report where its source answers, and draw it with made-up rows."""
    sources = Sources(settings, known)
    for name, folder in known.report_folders.items():
        if folder.is_relative_to(SHIPPED):
            continue  # tested as they are
        for fault in Rehearsal(known, name, sources).faults():
            yield Finding(f"report {name}", good=False, text=str(fault))


def _examine_urls(settings: Settings, known: Definitions) -> Iterator[Finding]:
    """Find URLs that nothing reads."""
    for name in sorted(settings.sources):
        unread = f"{source_variable(name)} is not read"
        if name == LEDGER:
            text = f"{unread}: the ledger's database is {PREFIX}DATABASE_URL"
            yield Finding(f"source {name}", good=False, text=text)
        elif name not in known.sources and name != WAREHOUSE:  # the embedded PostgreSQL offers that unasked
            yield Finding(
                f"source {name}", good=False, text=f"{unread}: no file declares sources/{name}.toml"
            )
