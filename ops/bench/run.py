"""A run: measures one after the other, and after each what is known so far is written down."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ops.bench import machine, picture, results, table
from ops.bench.course import Course, Invalid
from ops.bench.figures import Round
from ops.bench.measures import MEASURES, find
from ops.bench.results import Measured
from ops.chaos.place import place

FILE = "RESULTS.md"


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants measured."""

    measures: Sequence[str]
    rounds: int | None = None  # each measure's own number where not given
    short: bool = False
    minutes: float | None = None
    only: tuple[str, ...] = ()  # contenders


def run(wishes: Wishes, out: Path, peers: Path, say: Callable[[str], None]) -> dict[str, Measured]:
    """Measure, and add it to the results of a folder.

    Args:
        wishes: what to measure.
        out: the folder.
        peers: where the peers' environments are, or will be; the logs of what ran are kept there too.
        say: told each round.

    Raises:
        ServerError: a server cannot run here.
        KeyboardInterrupt: somebody stopped it; nothing is left running.
    """
    found = results.read(out)
    for name in wishes.measures:
        say(f"{name} …")
        found[name] = _measured(name, wishes, peers, say)
        publish(found, out)
    return found


def publish(found: results.Results, out: Path) -> None:
    """Write results, table and picture."""
    ordered = {name: found[name] for name in MEASURES if name in found}
    results.write(out, ordered)
    picture.draw(ordered, out)
    (out / FILE).write_text(table.markdown(ordered))


def _rounds(name: str, course: Course) -> list[Round]:
    """What the measure gives; what it needs and does not get is a round that does not count."""
    try:
        return find(name)(course)
    except Invalid as reason:
        return [Round(number=0, contender=name, invalid=str(reason))]


def _measured(name: str, wishes: Wishes, peers: Path, say: Callable[[str], None]) -> Measured:
    before = machine.look(peers)
    peers.mkdir(parents=True, exist_ok=True)
    with place(peers) as folder:
        course = Course(
            folder=folder,
            peers=peers,
            say=say,
            rounds=wishes.rounds or (1 if wishes.short else MEASURES[name]),
            short=wishes.short,
            minutes=wishes.minutes,
            only=wishes.only,
        )
        rounds = _rounds(name, course)
    versions = msgspec.structs.replace(before, theirs=machine.look(peers).theirs)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return Measured(at=at, machine=versions, rounds=rounds, short=wishes.short)
