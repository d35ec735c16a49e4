"""HTML: a sandboxed Jinja layout, one file with everything in it."""

import base64
import traceback
from collections.abc import Callable
from pathlib import Path

from worker.adapters.report.house import HOUSE
from worker.adapters.report.page import Page
from worker.contract import Fatal
from worker.storage import Writer

LAYOUT = "layout.html"


def write_html(page: Page, folder: Path, file: Writer, _between: Callable[[], None]) -> None:
    """Fill the layout of the report's folder, or the house's.

    Raises:
        Fatal: the layout is at fault; the text names file and line.
    """
    from worker.adapters.templates.sandbox import Sandbox  # noqa: PLC0415 - most processes need no Jinja

    root = folder if (folder / LAYOUT).is_file() else HOUSE
    sandbox = Sandbox(root, html=True)
    sandbox.filters["image"] = _image
    try:
        text = sandbox.get_template(LAYOUT).render(report=page)
    except Exception as error:  # whatever a layout's expressions raise
        raise Fatal(f"{_where(error, root)}: {_reason(error)}") from error
    file.write(text.encode("utf-8", "replace"))


def _image(svg: str) -> str:
    """A drawing as the source of an `<img>`: there a browser runs no script and fetches nothing."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _where(error: Exception, root: Path) -> str:
    """The line of the layout at which it broke; Jinja writes it into the traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(root):
            return f"{Path(frame.filename).relative_to(root)}:{frame.lineno}"
    return LAYOUT


def _reason(error: Exception) -> str:
    from jinja2 import TemplateError, TemplateNotFound  # noqa: PLC0415 - as above

    if isinstance(error, TemplateNotFound):
        return f"there is no file {error.name!r} beside the layout"
    return str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
