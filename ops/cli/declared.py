"""The definitions that the settings name; a fault ends the command with a sentence."""

import click

from worker import definitions
from worker.adapters import templates
from worker.definitions import LEDGER, DefinitionError, Definitions
from worker.settings import Settings, source_variable


def read_definitions(settings: Settings) -> Definitions:
    """The definitions as a worker gets them; faults end the command, each with its file and line."""
    try:
        known = definitions.load(settings.definitions_path)
    except DefinitionError as error:
        raise _refused(error) from None
    if faults := templates.check(known):
        raise _refused(DefinitionError(faults))
    return known


def _refused(error: DefinitionError) -> click.ClickException:
    return click.ClickException(f"the definitions have faults:\n{error}")


def unset_sources(settings: Settings, known: Definitions) -> list[str]:
    """The variables that declared data sources need and that are not set."""
    return [source_variable(name) for name in sorted(set(known.sources) - set(settings.sources) - {LEDGER})]
