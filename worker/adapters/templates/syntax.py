"""Checking templates before a job needs them: for `jobyard doctor` and `jobyard definitions`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from worker.definitions import Definitions, Fault, Template
from worker.definitions.template import HTML, SUBJECT, TEXT

if TYPE_CHECKING:
    from jinja2 import nodes

    from worker.adapters.templates.sandbox import Sandbox


def check(definitions: Definitions) -> list[Fault]:
    """What is wrong with the templates' files: their syntax, and names that no parameter has."""
    return sorted(
        fault
        for name, template in definitions.templates.items()
        for fault in _check_folder(definitions.template_folders[name], template)
    )


def _check_folder(folder: Path, template: Template) -> Iterator[Fault]:
    for path in sorted((*folder.rglob("*.txt"), *folder.rglob("*.html"))):
        yield from _check_file(path, folder, template)


def _check_file(path: Path, folder: Path, template: Template) -> Iterator[Fault]:
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - few processes need Jinja

    from worker.adapters.templates.sandbox import Sandbox  # noqa: PLC0415 - as above

    sandbox = Sandbox(folder, html=path.suffix == ".html")
    try:
        source = path.read_text("utf-8")
        tree = sandbox.parse(source, filename=str(path))
        sandbox.compile(source, filename=str(path))  # this alone finds filters that there are not
    except (OSError, UnicodeError) as error:
        yield Fault(path, 1, f"cannot be read: {error}")
    except TemplateSyntaxError as error:
        yield Fault(path, error.lineno, error.message or "is no template")
    else:
        if path.parent == folder and path.name in {SUBJECT, TEXT, HTML}:  # others are included with more
            yield from _check_names(path, tree, sandbox, template)


def _check_names(
    path: Path, tree: "nodes.Template", sandbox: "Sandbox", template: Template
) -> Iterator[Fault]:
    from jinja2 import meta, nodes  # noqa: PLC0415 - as above

    known = {*template.parameters, *sandbox.globals}
    for name in sorted(meta.find_undeclared_variables(tree) - known):
        lines = [found.lineno for found in tree.find_all(nodes.Name) if found.name == name]
        yield Fault(path, min(lines, default=1), f"{name!r} is no parameter of this template")
