"""PDF: a typst layout, compiled with the report as its data.

The data goes in as a value and never as markup, so that a cell which reads `#read("/etc/passwd")` is that
text. A layout reads the files of its own folder, and nothing else.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from worker.adapters.report.house import HOUSE
from worker.adapters.report.page import Page
from worker.contract import Fatal
from worker.storage import Writer

LAYOUT = "layout.typ"
PRESS = Path(__file__).with_name("press.py")
FONTS = HOUSE / "fonts"

# The compiler reaches no network (see `press`), and asks no one.
_ENVIRONMENT = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"), "http://127.0.0.1:0")
_SECONDS = 240  # of processor time: a layout that does not end by then never does
_MEMORY = 4 * 1024**3  # bytes; a thousand rows of eight columns take some 120 MiB
_TAGGED = 1000  # rows up to which a PDF is tagged for screen readers: it makes each ten times as large

_WHERE = re.compile(r"┌─ (\S+?):(\d+):\d+")
_PACKAGE = re.compile(r"failed to download package|package not found|invalid package|@[\w-]+/")


class _Complaint(msgspec.Struct):
    """What the compiler says of a layout that cannot be set."""

    message: str
    diagnostic: str


def write_pdf(page: Page, folder: Path, file: Writer, between: Callable[[], None]) -> None:
    """Set a page by the layout of its folder, or by the house's.

    Raises:
        Fatal: the layout is at fault; the text names file and line.
    """
    root = folder if (folder / LAYOUT).is_file() else HOUSE
    _require_no_links(root)
    order = {
        "report": page,
        "fonts": [str(FONTS), str(root)],
        "tagged": sum(len(table.rows) for table in page.tables if table.style == "rows") <= _TAGGED,
        "seconds": _SECONDS,
        "memory": _MEMORY,
    }
    status, said = _pressed(root, msgspec.json.encode(order), between)
    if status == 1:
        raise Fatal(_reason(msgspec.json.decode(said, type=_Complaint), root))
    if status != 0:
        raise Fatal(f"{LAYOUT}: the compiler ended with status {status}; the layout asks too much of it")
    file.write(said)


def _require_no_links(root: Path) -> None:
    """The compiler follows a link out of its folder; one may have come after the definitions were checked."""
    for path in root.rglob("*"):
        if path.is_symlink():
            raise Fatal(f"{path.relative_to(root)} is a link; what is beside a layout must be files")


def _pressed(root: Path, order: bytes | None, between: Callable[[], None]) -> tuple[int, bytes]:
    """Run the compiler; its exit status and what it wrote."""
    command = [sys.executable, "-I", str(PRESS)]
    with subprocess.Popen(
        command,
        cwd=root,
        env=_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as press:
        try:
            while True:
                try:
                    said, _ = press.communicate(order, timeout=1)
                except subprocess.TimeoutExpired:
                    order = None  # it is given once
                    between()
                else:
                    return press.returncode, said
        finally:
            press.kill()


def _reason(complaint: _Complaint, root: Path) -> str:
    at = _WHERE.search(complaint.diagnostic)
    where = f"{at[1]}:{at[2]}" if at else LAYOUT
    if _PACKAGE.search(complaint.message):
        return f"{where}: a layout may import no packages: copy what it needs into its folder"
    return f"{where}: {complaint.message.replace(f'{root}/', '')}"
