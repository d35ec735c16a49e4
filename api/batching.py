"""Batches as clients word them, made into jobs: all of them, or a list of what is wrong with which.

Ten thousand jobs take a good part of a second to check, so the work is cut into slices, between which the
other requests of the process have their turn.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from api.bodies import decode
from api.cooperation import breathe
from api.counting import MOST_JOBS
from api.errors import FieldError, Problem, invalid
from worker.enqueue import Enqueuer, JobName, KindNotAllowed, Refused, Submission, Tag
from worker.ledger.clients import Client
from worker.ledger.ids import new_id
from worker.ledger.records import NewJob

MOST_LINKS = 50_000  # entries of `after` in one batch
MOST_REFERENCES = 50_000  # to results in one batch; each is checked while its transaction is open

_SLICE = 10  # jobs between two breaths: some milliseconds, and some more where they hold references
_LARGE = 10_000  # bytes of a job before which there is a breath of its own
_MOST_PROBLEMS = 100
_LONGEST_CIRCLE = 10  # names that are shown

T = TypeVar("T")
U = TypeVar("U")


class BatchJob(Submission, frozen=True, kw_only=True):
    """A job of a batch."""

    name: Annotated[
        JobName | None,
        Meta(description="What other jobs of the same batch call it, in `after` and in references."),
    ] = None


class BatchSubmission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Jobs that are submitted together, and watched as one."""

    jobs: Annotated[
        list[msgspec.Raw],
        Meta(min_length=1, max_length=MOST_JOBS, description="All of them are accepted, or none."),
    ]
    tags: Annotated[list[Tag], Meta(description="Words about the batch.", max_length=20)] = []
    callback: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(
            description="https URL that is told once when all jobs have ended, by the message"
            " `batch.finished`."
        ),
    ] = None


class Prepared(msgspec.Struct, frozen=True):
    """The jobs of a batch, ready to be accepted."""

    jobs: list[NewJob]  # in the order of the request
    names: dict[str, int]  # place in it of each that has a name


class Problems:
    """What is wrong with the jobs of a batch, by their places; told all at once."""

    def __init__(self) -> None:
        self._found: dict[int, Refused] = {}

    def add(self, place: int, refused: Refused) -> None:
        """Note one; of one job the first counts.

        Raises:
            Problem: they are enough.
        """
        if isinstance(refused, KindNotAllowed):
            raise refused
        self._found.setdefault(place, refused)
        if len(self._found) == _MOST_PROBLEMS:
            self.settle()

    def settle(self) -> None:
        """Go on where there are none.

        Raises:
            Problem: 422, which jobs cannot be accepted, and why.
        """
        if self._found:
            raise refusal(self._found)


def refusal(problems: Mapping[int, Refused]) -> Problem:
    """All that is wrong with the jobs of a batch, by their places; the first of very many."""
    told = sorted(problems)[:_MOST_PROBLEMS]
    more = ", and perhaps more" if len(problems) >= _MOST_PROBLEMS else ""
    return Problem(
        422,
        f"{len(told)} of the jobs cannot be accepted{more}; none was",
        code="invalid-fields",
        errors=[_error(place, problems[place]) for place in told],
    )


def prepare(
    raw: Sequence[msgspec.Raw],
    enqueuer: Enqueuer,
    client: Client,
    *,
    request_id: str,
    batch_id: UUID,
    largest: int,
) -> Prepared:
    """Make jobs of what a client sent; one may have `largest` bytes, as when it comes alone.

    Raises:
        Problem: 422, some of them cannot be accepted.
        KindNotAllowed: the key may not submit one of the kinds.
    """
    problems = Problems()

    def decoded(one: bytes) -> BatchJob:
        if len(one) > largest:
            raise Refused("", f"has {len(one)} bytes; a job may have {largest}, what is more is an artifact")
        return decode(one, _JOBS)

    wishes = _each(enumerate(map(bytes, raw)), len, decoded, problems)
    ids = [new_id() for _ in raw]
    # What others call a job that is refused is no mistake of theirs.
    names = {_name_in(raw[place]): ids[place] for place in range(len(raw)) if place not in wishes}
    names |= _names(wishes, ids, problems)
    _refuse_cycles(wishes, problems)

    def make(wish: tuple[BatchJob, UUID]) -> NewJob:
        return enqueuer.prepare(
            wish[0],
            client.id,
            request_id,
            rights=client.rights,
            names=names,
            job_id=wish[1],
            batch_id=batch_id,
        )

    given = ((place, (wish, ids[place])) for place, wish in wishes.items())
    jobs = _each(given, lambda wish: len(bytes(wish[0].payload)), make, problems)
    _refuse_twins(jobs, problems)
    _refuse_references(jobs.values())
    problems.settle()
    called = {wish.name: place for place, wish in wishes.items() if wish.name is not None}
    return Prepared(list(jobs.values()), called)


def _each(
    given: Iterable[tuple[int, T]], size: Callable[[T], int], make: Callable[[T], U], problems: Problems
) -> dict[int, U]:
    """What could be made of each, by its place."""
    made = {}
    for place, one in given:
        if place % _SLICE == 0 or size(one) > _LARGE:
            breathe()
        try:
            made[place] = make(one)
        except Refused as refused:
            problems.add(place, refused)
        except Problem as problem:  # what is no JSON after all
            problems.add(place, Refused("", problem.description or "cannot be read"))
    return made


_JOBS = msgspec.json.Decoder(BatchJob)


class _Named(msgspec.Struct):
    name: object = None


_NAMED = msgspec.json.Decoder(_Named)


def _name_in(raw: msgspec.Raw) -> str:
    """The name of a job that cannot be read otherwise; empty where it has none."""
    try:
        return str(_NAMED.decode(raw).name or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _names(wishes: Mapping[int, BatchJob], ids: Sequence[UUID], problems: Problems) -> dict[str, UUID]:
    names: dict[str, UUID] = {}
    for place, wish in wishes.items():
        if wish.name is not None and names.setdefault(wish.name, ids[place]) != ids[place]:
            problems.add(place, Refused("name", f"another job of this batch is called {wish.name!r} too"))
    return names


def _refuse_cycles(wishes: Mapping[int, BatchJob], problems: Problems) -> None:
    links = sum(len(wish.after) for wish in wishes.values())
    if links > MOST_LINKS:
        raise invalid(422, Refused("jobs", f"have {links} entries in `after`; a batch may have {MOST_LINKS}"))
    places = {wish.name: place for place, wish in wishes.items() if wish.name is not None}
    if not links or not places:
        return
    graph = {place: [places[name] for name in wish.after if name in places] for place, wish in wishes.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        places_round = list(reversed(error.args[1]))
        shown = [str(wishes[place].name) for place in places_round[:_LONGEST_CIRCLE]]
        left = ["…"] if len(places_round) > _LONGEST_CIRCLE else []
        circle = " after ".join([*shown, *left])
        problems.add(min(places_round), Refused("after", f"goes round in a circle: {circle}"))


def _refuse_references(jobs: Iterable[NewJob]) -> None:
    taken = sum(len(job.takes) for job in jobs)
    if taken > MOST_REFERENCES:
        problem = f"hold {taken} references to results; a batch may have {MOST_REFERENCES}"
        raise invalid(422, Refused("jobs", problem))


def _refuse_twins(jobs: Mapping[int, NewJob], problems: Problems) -> None:
    seen: dict[str, int] = {}
    for place, job in jobs.items():
        if job.unique_key is not None and seen.setdefault(job.unique_key.key, place) != place:
            first = seen[job.unique_key.key]
            problems.add(place, Refused("unique_key", f"jobs[{first}] of this batch has the same"))


def _error(place: int, refused: Refused) -> FieldError:
    return FieldError(f"jobs[{place}]" + (f".{refused.field}" if refused.field else ""), refused.reason)
