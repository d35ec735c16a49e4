"""The processes of a platform under test, as its supervisor tells of them."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from ops.supervisor import ProcessState, read_status
from worker.contract.queues import WORKERS
from worker.settings import PREFIX

ALL_WORKERS = tuple(f"worker-{name}" for name in WORKERS)

_PREFORK = tuple(f"worker-{name}" for name, queues in WORKERS.items() if queues[0].pool == "prefork")


class Crew:
    """Who runs in a HOME, by name.

    Args:
        home: of the platform.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._beside: dict[str, Callable[[], int]] = {}

    def join(self, name: str, pid: Callable[[], int]) -> None:
        """Add a process that no supervisor tells of, with what gives its id of the moment."""
        self._beside[name] = pid

    def leave(self, name: str) -> None:
        """Take such a process out again."""
        del self._beside[name]

    @property
    def beside(self) -> tuple[str, ...]:
        """The names of those that no supervisor tells of."""
        return tuple(self._beside)

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of all workers."""
        return (*ALL_WORKERS, *(name for name in self._beside if name.startswith("worker-")))

    @property
    def prefork(self) -> tuple[str, ...]:
        """The names of the workers whose jobs run in children."""
        return tuple(name for name in self.workers if name.startswith(_PREFORK))

    def main(self, name: str) -> psutil.Process | None:
        """The main process of a role; None where there is none at the moment."""
        if name in self._beside:
            return _process(self._beside[name]())
        record = read_status(self._home)
        for told in record.status.processes if record else ():
            if told.name == name and told.pid is not None and told.state is ProcessState.RUNNING:
                return _process(told.pid)
        return None

    def family(self, name: str) -> list[psutil.Process]:
        """The main process of a role, and its children."""
        main = self.main(name)
        return [] if main is None else [main, *children(main)]

    def everybody(self) -> list[psutil.Process]:
        """Every process whose environment names this HOME, whoever started it."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def all_run(self) -> bool:
        """Whether a supervisor lives and all its processes do their work."""
        record = read_status(self._home)
        if record is None or not record.alive:
            return False
        states = [told.state for told in record.status.processes]
        return len(states) > len(ALL_WORKERS) and set(states) == {ProcessState.RUNNING}

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(PREFIX + "HOME") == str(self._home)
        except (psutil.Error, OSError):
            return False


def _process(pid: int) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid)
    return None


def children(process: psutil.Process) -> list[psutil.Process]:
    """Its living children."""
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def send(processes: Iterable[psutil.Process], number: signal.Signals) -> tuple[int, ...]:
    """Send a signal to those that still live; returns their ids."""
    return tuple(_sent(processes, number))


def _sent(processes: Iterable[psutil.Process], number: signal.Signals) -> Iterator[int]:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            yield process.pid
