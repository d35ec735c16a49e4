"""The port `Templates` over Jinja."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worker.contract import Fatal
from worker.contract.ports import LONGEST_SUBJECT, Content, one_line
from worker.definitions import Definitions, ParameterError, bind
from worker.definitions.template import HTML, SUBJECT, TEXT

if TYPE_CHECKING:
    from worker.adapters.templates.sandbox import Sandbox


class JinjaTemplates:
    """Fills in templates; safe to share between threads."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._sandboxes: dict[tuple[str, bool], Sandbox] = {}

    def render(self, name: str, variables: Mapping[str, Any]) -> Content:
        """Fill in a template; see `Templates`."""
        template = self._definitions.templates.get(name)
        if template is None:
            known = ", ".join(sorted(self._definitions.templates)) or "none"
            raise Fatal(f"there is no template {name!r}; there are: {known}")
        try:
            values = bind(template.parameters, variables)
        except ParameterError as error:
            raise Fatal(f"the template {name!r}: {error}") from None
        return Content(
            subject=_subject(name, self._part(name, SUBJECT, values)),
            text=self._optional_part(name, TEXT, values),
            html=self._optional_part(name, HTML, values),
        )

    def _optional_part(self, name: str, file: str, values: Mapping[str, Any]) -> str | None:
        return self._part(name, file, values) if (self._folder(name) / file).is_file() else None

    def _part(self, name: str, file: str, values: Mapping[str, Any]) -> str:
        try:
            return _rendered(self._sandbox(name, html=file == HTML), file, values)
        except Fatal as error:
            raise Fatal(f"the template {name!r}, {file}: {error}") from None
        except Exception as error:  # a template's expressions can raise anything
            where = _place(error, self._folder(name)) or file
            raise Fatal(f"the template {name!r}, {where}: {_reason(error)}") from error

    def _sandbox(self, name: str, *, html: bool) -> "Sandbox":
        from worker.adapters.templates.sandbox import Sandbox  # noqa: PLC0415 - few workers need Jinja

        if (name, html) not in self._sandboxes:
            self._sandboxes[name, html] = Sandbox(self._folder(name), html=html)
        return self._sandboxes[name, html]

    def _folder(self, name: str) -> Path:
        return self._definitions.template_folders[name]


def _rendered(sandbox: "Sandbox", file: str, values: Mapping[str, Any]) -> str:
    from worker.adapters.templates.sandbox import LARGEST_OUTPUT, counted_range  # noqa: PLC0415 - as above

    pieces, size = [], 0
    for piece in sandbox.get_template(file).generate({**values, "range": counted_range()}):
        size += len(piece)
        if size > LARGEST_OUTPUT:
            raise Fatal(f"makes more than {LARGEST_OUTPUT} characters")
        pieces.append(piece)
    return "".join(pieces)


def _subject(name: str, rendered: str) -> str:
    subject = rendered.strip(" ")
    if len(subject) > LONGEST_SUBJECT:
        problem = f"has {len(subject)} characters, at most {LONGEST_SUBJECT} are sent"
        raise Fatal(f"the template {name!r}, {SUBJECT}: {problem}")
    try:
        return one_line(subject)
    except ValueError as error:
        raise Fatal(f"the template {name!r}, {SUBJECT}: {error}") from None


def _place(error: Exception, folder: Path) -> str | None:
    """File and line, of the innermost frame that is a template's: Jinja makes tracebacks name them."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(folder):
            return f"{Path(frame.filename).relative_to(folder)}:{frame.lineno}"
    return None


def _reason(error: Exception) -> str:
    from jinja2 import TemplateError, TemplateNotFound  # noqa: PLC0415 - loaded already, where it raised

    if isinstance(error, TemplateNotFound):
        return f"there is no file {error.name!r} in its folder"
    return str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
