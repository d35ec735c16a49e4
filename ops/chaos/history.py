"""What happened in a run: events in the order in which they were noted, one JSON object a line.

Times are seconds of the machine's monotonic clock, which all its processes share.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

Moment = Annotated[float, Meta(description="Seconds of the monotonic clock.")]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag=str.lower):
    """Something that somebody noted."""

    at: Moment


class Submitted(Event, frozen=True, kw_only=True):
    """A client tried to submit; several tries of one submission share its key."""

    key: str  # the Idempotency-Key
    kind: str
    expected: tuple[str, ...]  # final states that are right for it
    errors: tuple[str, ...] = ()  # types of the errors with which it may end failed
    seconds: float  # until the answer, or until none came
    status: int | None  # of HTTP; None: no answer
    failure: str | None = None  # why there was no answer: refused, broken or timeout
    job: str | None = None  # of a 202
    noted: bool = True  # its handler notes its runs
    deadly: bool = False  # its handler takes its process along
    keyed: bool = False  # it leaves an effect where a second one must be refused


class Told(Event, frozen=True, kw_only=True):
    """A client was told how its job stands, before the end."""

    job: str
    state: str


class Started(Event, frozen=True, kw_only=True):
    """A handler began a run."""

    job: str
    run: str  # unique
    attempt: int
    pid: int


class Alive(Event, frozen=True, kw_only=True):
    """A run is still under way."""

    run: str


class Done(Event, frozen=True, kw_only=True):
    """A run came to the end of its work, whatever its outcome is to be."""

    run: str


class Effect(Event, frozen=True, kw_only=True):
    """What a keyed job did to a place that is to refuse a second one."""

    key: str  # the Idempotency-Key of its job


class Fault(Event, frozen=True, kw_only=True):
    """Something was broken on purpose."""

    name: str
    target: str
    until: Moment  # when it was mended; `at` where nothing was to be mended
    stopped: tuple[int, ...] = ()  # processes that meanwhile did nothing
    cut_off: tuple[int, ...] = ()  # processes that worked on, and could not learn what the ledger has of it
    unrenewed: tuple[int, ...] = ()  # processes that worked on and could learn it; nobody renewed their lease
    killed: tuple[int, ...] = ()  # processes that it ended
    asked: tuple[int, ...] = ()  # processes that it asked to leave


class Died(Event, frozen=True, kw_only=True):
    """A process of the platform ended, and nobody had asked it to."""

    name: str
    pid: int
    exit_status: int


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a job's history."""

    attempt: int
    outcome: str | None
    began: Moment | None = None  # by the ledger's clock; None: not read
    ended: Moment | None = None


class Read(Event, frozen=True, kw_only=True):
    """How a job stood after the quiet period, as its client read it."""

    job: str
    status: int  # of HTTP
    state: str | None = None
    error: str | None = None  # its type
    history: tuple[Attempted, ...] = ()


AnyEvent = Submitted | Told | Started | Alive | Done | Effect | Fault | Died | Read

_DECODER = msgspec.json.Decoder(AnyEvent)


class Journal:
    """A file that several processes append to; a line is written at once or not at all."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, event: Event) -> None:
        """Append an event."""
        os.write(self._descriptor, msgspec.json.encode(event) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(files: Iterable[Path]) -> Iterator[AnyEvent]:
    """The events of several journals, by their time.

    Raises:
        msgspec.MsgspecError: a line is no event.
    """
    events = [_DECODER.decode(line) for file in files for line in file.read_bytes().splitlines()]
    return iter(sorted(events, key=lambda event: event.at))


class Follower:
    """Reads a journal as it grows, each event once, so that looking costs the same however long it is.

    Args:
        file: the journal.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offset = 0  # bytes

    def more(self) -> list[AnyEvent]:
        """The events since the last look, in the order in which they were noted.

        Raises:
            msgspec.MsgspecError: a line is no event.
        """
        with self._file.open("rb") as journal:
            journal.seek(self._offset)
            whole = journal.read().rpartition(b"\n")[0]  # somebody may be writing what follows
        self._offset += len(whole) + 1 if whole else 0
        return [_DECODER.decode(line) for line in whole.splitlines()]
