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
    seconds: float  # until the answer, or until none came
    status: int | None  # of HTTP; None: no answer
    job: str | None = None  # of a 202
    noted: bool = True  # its handler notes its runs


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

    job: str


class Fault(Event, frozen=True, kw_only=True):
    """Something was broken on purpose."""

    name: str
    target: str
    until: Moment  # when it was mended; `at` where nothing was to be mended
    stopped: tuple[int, ...] = ()  # processes that meanwhile could not notice what happened


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a job's history."""

    attempt: int
    outcome: str | None


class Read(Event, frozen=True, kw_only=True):
    """How a job stood after the quiet period, as its client read it."""

    job: str
    status: int  # of HTTP
    state: str | None = None
    error: str | None = None  # its type
    history: tuple[Attempted, ...] = ()


AnyEvent = Submitted | Started | Alive | Done | Effect | Fault | Read

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
