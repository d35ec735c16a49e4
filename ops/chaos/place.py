"""Where a run takes place: a folder of its own, which a signal does not leave behind."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def place(out: Path) -> Iterator[Path]:
    """A folder that the servers' account can pass through; its histories and logs are copied to `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="jobyard-chaos-", ignore_cleanup_errors=True) as name, _signals():
        folder = Path(name)
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            _keep(folder, out)


def _keep(folder: Path, out: Path) -> None:
    """Histories and logs; the servers' data goes with the folder."""
    for file in folder.glob("*.jsonl"):
        shutil.copy(file, out)
    for home in ("home", "servers"):
        if (folder / home / "logs").exists():
            shutil.copytree(folder / home / "logs", out / "logs", dirs_exist_ok=True)


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does, and either one only once: what it started has to be stopped."""
    before = {number: signal.signal(number, _interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
