"""Files of schedules: one TOML file each, named after it; a beat that starts puts them into the ledger."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
from loguru import logger

from worker.enqueue import Enqueuer, Refused, refusal
from worker.ledger import clients, schedules
from worker.ledger.agenda import Agenda
from worker.ledger.engines import Ledger
from worker.scheduling import NAME, Definition, Schedule

SHIPPED = Path(__file__).parent / "defined"
CLIENT = "schedules"  # owns the schedules of files, and their jobs

_DEFINITIONS = msgspec.json.Decoder(Definition)


class ScheduleError(ValueError):
    """A schedule's file is not valid; the message names the file and the reason."""


def load(folders: Iterable[Path], enqueuer: Enqueuer) -> list[Schedule]:
    """Read and check every schedule; of two files with the same name the later folder's stands.

    Raises:
        ScheduleError: a folder is missing, or a file is not valid.
    """
    files: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ScheduleError(f"{folder}: no such folder of schedules")
        files |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return [_load(path, enqueuer) for path in files.values()]


def _load(path: Path, enqueuer: Enqueuer) -> Schedule:
    try:
        schedule = _schedule(path.stem, msgspec.toml.decode(path.read_bytes()))
        schedule.check(enqueuer)
    except (msgspec.DecodeError, UnicodeError, OSError, Refused, ScheduleError) as error:
        raise ScheduleError(f"{path}: {error}") from None
    return schedule


def _schedule(name: str, document: object) -> Schedule:
    if not re.match(NAME, name):
        raise ScheduleError("the name of the file is the schedule's: lower-case letters, digits, - and _")
    try:
        definition = _DEFINITIONS.decode(msgspec.json.encode(document))
    except msgspec.ValidationError as error:
        raise refusal(error, Definition) from None
    return Schedule.of(name, definition)


class Files:
    """The part of a beat that puts the files into the ledger, once; from there they are fired like any other.

    Args:
        found: the schedules of the files.
        ledger: where they go.
    """

    name = "files of schedules"

    def __init__(self, found: Iterable[Schedule], ledger: Ledger) -> None:
        self._definitions: Mapping[str, str] = {
            schedule.name: msgspec.json.encode(schedule.definition).decode() for schedule in found
        }
        self._ledger = ledger
        self._done = False

    def run(self, _todo: Agenda) -> bool:
        """Do it, unless it is done."""
        if not self._done:
            with self._ledger.write() as connection:
                owner = clients.ensure_client(connection, CLIENT)
                schedules.sync(connection, owner.id, self._definitions)
            logger.info("files_of_schedules_read", schedules=len(self._definitions))
            self._done = True
        return False
