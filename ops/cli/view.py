"""What `jobyard up` shows: a live table on a terminal, a line for each change anywhere else."""

import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ops.embedded.home import Home
from ops.embedded.servers import tail
from ops.supervisor import ProcessState, ProcessStatus, Status
from worker.settings import Settings

_LOOK = 2.0  # seconds between two looks at the queues
_COLOURS = {
    ProcessState.STARTING: "yellow",
    ProcessState.RUNNING: "green",
    ProcessState.BACKING_OFF: "red",
    ProcessState.STOPPING: "yellow",
    ProcessState.STOPPED: "dim",
}


class Lines:
    """One line for each process that changed, and one with the URLs when all run."""

    def __init__(self, console: Console, key_file: Path) -> None:
        self._console = console
        self._home = Home(key_file.parent)
        self._key = _NewKey(key_file)
        self._shown: dict[str, tuple[ProcessState, int | None]] = {}
        self._greeted = False

    def show(self, status: Status) -> None:
        """Print what changed."""
        for process in status.processes:
            now = (process.state, process.pid)
            if self._shown.get(process.name) != now:
                self._shown[process.name] = now
                pid = f" (pid {process.pid})" if process.pid else ""
                self._console.print(f"{process.name}: {process.state}{pid}", highlight=False)
                if process.state is ProcessState.BACKING_OFF:
                    self._console.print(_last_words(self._home, process), highlight=False)
        if not self._greeted and _all_run(status):
            self._greeted = True
            self._console.print(f"jobyard is up: API {status.urls.api}  Flower {_bare(status.urls.flower)}")
            self._console.print(self._key.text(status), highlight=False)

    def close(self) -> None:
        """Nothing is left to clear away."""


class Screen:
    """A table of processes and queues that renews itself."""

    def __init__(self, console: Console, key_file: Path, settings: Settings) -> None:
        self._home = Home(key_file.parent)
        self._key = _NewKey(key_file)
        self._settings = settings
        self._status: Status | None = None
        self._queues: Mapping[str, Mapping[str, int]] = {}
        self._closed = threading.Event()
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()
        threading.Thread(target=self._watch_queues, daemon=True).start()

    def show(self, status: Status) -> None:
        """Draw a new status."""
        self._status = status
        self._draw()

    def close(self) -> None:
        """Leave the last picture standing."""
        self._closed.set()
        self._live.stop()

    def _draw(self) -> None:
        if self._status is not None and not self._closed.is_set():
            self._live.update(self._picture(self._status), refresh=True)

    def _picture(self, status: Status) -> Group:
        parts: list[Table | Text] = [_processes(status)]
        parts += [
            Text(_last_words(self._home, process), style="red")
            for process in status.processes
            if process.state is ProcessState.BACKING_OFF
        ]
        if self._queues:
            parts.append(_queues(self._queues))
        parts.append(_addresses(status))
        if _all_run(status):
            parts.append(Text(self._key.text(status)))
        return Group(*parts)

    def _watch_queues(self) -> None:
        while self._status is None or not _all_run(self._status):
            if self._closed.wait(_LOOK):
                return
        from ops.cli.backlog import Backlog  # noqa: PLC0415 - it takes half a second and 20 MB

        backlog = Backlog(msgspec.structs.replace(self._settings, database_url=self._status.urls.database))
        while not self._closed.wait(_LOOK):
            if _all_run(self._status):
                self._queues = backlog.look()
                self._draw()


class _NewKey:
    """The first client's key: shown in the run that makes it, named by its file in every other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old = path.exists()

    def text(self, status: Status) -> str:
        if self._old or not self._path.exists():
            return f"API key: in {status.key_file}"
        return f"API key (not shown again; it is in {status.key_file}): {self._path.read_text().strip()}"


def _processes(status: Status) -> Table:
    table = Table("process", "pid", "state", box=None, pad_edge=False)
    for process in status.processes:
        table.add_row(process.name, str(process.pid or ""), _state(process))
    return table


def _last_words(home: Home, process: ProcessStatus) -> str:
    """Why a process died, as far as its log tells."""
    log = home.log(process.name)
    try:
        said = [line for line in tail(log).splitlines() if line.strip()]
    except OSError:
        said = []
    return f"  {process.name} died; {log} ends: {said[-1] if said else 'with nothing'}"


def _state(process: ProcessStatus) -> Text:
    return Text(process.state.value, style=_COLOURS[process.state])


def _queues(queues: Mapping[str, Mapping[str, int]]) -> Table:
    table = Table("queue", "scheduled", "queued", "running", "retrying", box=None, pad_edge=False)
    for name, counts in sorted(queues.items()):
        table.add_row(
            name, *(str(counts.get(state, 0)) for state in ("scheduled", "queued", "running", "retrying"))
        )
    return table


def _addresses(status: Status) -> Text:
    return Text(
        f"API {status.urls.api}   Flower {_bare(status.urls.flower)}\n"
        "Flower's login: jobyard status   stop: Ctrl-C"
    )


def _bare(url: str) -> str:
    """A URL without its login: it may be looked over somebody's shoulder."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _all_run(status: Status) -> bool:
    return all(process.state is ProcessState.RUNNING for process in status.processes)
