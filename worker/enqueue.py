"""Accepting jobs: validate, then write them to the ledger. Publishing follows the commit."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from worker.catalog import AnyKind, Catalog
from worker.contract.rights import Rights
from worker.contract.scopes import Scope
from worker.contract.states import FINAL, LIVE, Priority, State
from worker.ledger import followups, transitions, unique_keys
from worker.ledger.followups import Followed
from worker.ledger.ids import new_id
from worker.ledger.records import Accepted, Message, NewJob, UniqueKey
from worker.payloads import Payloads, Refused, refusal

__all__ = [
    "Enqueuer",
    "KindNotAllowed",
    "Moment",
    "Refused",
    "RefusedJobs",
    "Standing",
    "Submission",
    "Tag",
    "UniqueWord",
    "UnknownKind",
    "accept",
    "enqueue",
    "message_of",
    "refusal",
    "require_right",
    "submission",
]

# With a look-ahead, for Python's $ would let a last newline pass.
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$(?!\n)"
_NO_LINE = {"misfit": "holds a line's end or another control character"}
Tag = Annotated[str, Meta(min_length=1, max_length=100, pattern=_ONE_LINE, extra=_NO_LINE)]
Moment = Annotated[datetime, Meta(tz=True)]
Word = Annotated[str, Meta(min_length=1, max_length=200, pattern=_ONE_LINE, extra=_NO_LINE)]
JobName = Annotated[str, Meta(min_length=1, max_length=100)]

_EVERYTHING = Rights()
_NO_NAMES: Mapping[str, UUID] = MappingProxyType({})
_MOST_PREDECESSORS = 100
_FEW = 10  # jobs whose references are checked between two breaths: some milliseconds
_SLICE = 500  # jobs that one statement writes: encoding them holds up everything else in the process


class UniqueWord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A unique key with its bounds."""

    key: Annotated[Word, Meta(description="Unique among the client's own.")]
    window: Annotated[
        Annotated[float, Meta(gt=0, le=365 * 86400)] | None,
        Meta(description="Seconds after its submission for which a job holds the key at most."),
    ] = None
    states: Annotated[
        Annotated[list[State], Meta(min_length=1, max_length=len(State))] | None,
        Meta(
            description="States in which a job holds the key; unset: all that are not final, and with a"
            " window `succeeded` too."
        ),
    ] = None


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for work, as a client or a schedule words it."""

    kind: Annotated[str, Meta(description="What to do: a name of `GET /v1/kinds`.", max_length=200)]
    payload: Annotated[msgspec.Raw, Meta(description="The kind's input.")] = msgspec.field(
        default_factory=lambda: msgspec.Raw(b"{}")  # as a plain default no schema could show it
    )
    priority: Annotated[Priority, Meta(description="Rank among the queued jobs of its queue.")] = (
        Priority.NORMAL
    )
    scheduled_at: Annotated[
        Moment | None, Meta(description="Not before this time (RFC 3339, with an offset).")
    ] = None
    expires_at: Annotated[
        Moment | None, Meta(description="A job not started by then ends failed; a time to come.")
    ] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="Runs in all, the first included; unset: the kind's number."),
    ] = None
    tags: Annotated[list[Tag], Meta(description="Words to find the job by.", max_length=20)] = []
    queue: Annotated[
        JobName | None, Meta(description="One of the kind's `queues`; unset: the kind's `queue`.")
    ] = None
    unique_key: Annotated[
        Word | UniqueWord | None,
        Meta(
            description="While a job of yours holds this key, no other is made: the answer is 200 with that"
            " job instead of 202. Text alone: for as long as the job has not ended."
        ),
    ] = None
    callback: Annotated[
        Annotated[str, Meta(max_length=2048)] | None,
        Meta(
            description="https URL that is told of the job's end, by the message `job.succeeded`,"
            " `job.failed` or `job.cancelled`.",
            examples=["https://example.com/hook"],
        ),
    ] = None
    after: Annotated[
        list[JobName],
        Meta(
            description="Ids of jobs of yours, or names of jobs in the same batch: it waits until all of"
            " them have succeeded, and fails when one ends otherwise.",
            max_length=_MOST_PREDECESSORS,
        ),
    ] = []


class UnknownKind(Refused):
    """There is no such kind; `known` lists those there are."""

    def __init__(self, kind: str, known: list[str]) -> None:
        super().__init__("kind", f"there is no kind {kind!r}; known are {', '.join(known)}")
        self.known = known


class KindNotAllowed(Refused):
    """The kind is none of those that the key may submit."""

    def __init__(self, kind: str, rights: Rights) -> None:
        self.operator = kind in rights.withheld  # whether a scope is what the key lacks
        allowed = f"this key may not submit {kind}; it may submit {str(rights) or 'nothing'}"
        needed = f"{kind} is for operators: submit it with a key that has the scope {Scope.OPERATE}"
        super().__init__("kind", needed if self.operator else allowed)
        self.rights = rights


class Enqueuer:
    """Turns submissions into jobs of the ledger."""

    def __init__(self, catalog: Catalog, *, plain_http: bool = False) -> None:
        """Make one.

        Args:
            catalog: the kinds.
            plain_http: whether a callback's URL may be http.
        """
        self._catalog = catalog
        self._schemes = ("https", "http") if plain_http else ("https",)
        self.payloads = Payloads(catalog)

    def prepare(
        self,
        submission: Submission,
        client_id: UUID,
        request_id: str | None,
        *,
        published: bool = False,
        rights: Rights = _EVERYTHING,
        names: Mapping[str, UUID] = _NO_NAMES,
        job_id: UUID | None = None,
        batch_id: UUID | None = None,
    ) -> NewJob:
        """Validate a submission: all but what only the ledger knows, which `accept` looks at.

        Args:
            submission: what is wanted.
            client_id: by whom.
            request_id: of the request, for the logs.
            published: whether the caller publishes it right after the commit.
            rights: the kinds that the client's key may submit.
            names: of jobs that are submitted together with it, and their ids.
            job_id: its own id; None: a fresh one.
            batch_id: the batch that it belongs to.

        Raises:
            KindNotAllowed: the rights do not reach so far; the payload was not looked at.
            Refused: a field is out of range; nothing was written.
        """
        kind = self._kind(submission.kind)
        require_right(kind.name, rights)
        after = _after(submission.after, names)
        payload = self.payloads.check(kind, submission.payload, after)
        scheduled_at = in_utc(submission.scheduled_at, "scheduled_at")
        expires_at = in_utc(submission.expires_at, "expires_at")
        if expires_at and scheduled_at:
            _require(expires_at > scheduled_at, "expires_at", "is not after scheduled_at")
        return NewJob(
            id=job_id or new_id(),
            client_id=client_id,
            kind=kind.name,
            queue=_queue(kind, submission.queue),
            payload=payload.content,
            description=_printable(payload.description[:200]),
            max_attempts=submission.max_attempts or kind.max_attempts,
            priority=submission.priority,
            tags=submission.tags,
            request_id=request_id,
            scheduled_at=scheduled_at,
            expires_at=expires_at,
            published=published and scheduled_at is None and not after,
            unique_key=_unique(submission.unique_key),
            callback=self.checked_callback(submission.callback),
            batch_id=batch_id,
            after=list(dict.fromkeys(after.values())),
            refers=payload.refers,
            takes=payload.takes,
            followed=submission.callback is not None or batch_id is not None,
        )

    def checked_callback(self, url: str | None) -> str | None:
        """A URL that may be told of an end.

        Raises:
            Refused: it is none.
        """
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            good = parts.scheme in {"https", "http"} and parts.hostname and parts.port != 0
        except ValueError:
            good, parts = False, urlsplit("")
        _require(bool(good) and url.isascii() and url.isprintable() and " " not in url, "callback",
                 "is no absolute https URL")  # fmt: skip
        _require(parts.scheme in self._schemes, "callback",
                 "is not https; only an operator can allow http (JOBYARD_CALLBACK_HTTP)")  # fmt: skip
        _require("@" not in parts.netloc, "callback", "holds credentials, which would be stored with the job")
        _require(not parts.fragment, "callback", "has a fragment, which no server ever sees")
        return url

    def _kind(self, name: str) -> AnyKind:
        kind = self._catalog.get(name)
        if kind is None:
            raise UnknownKind(name, list(self._catalog))
        return kind


def require_right(kind: str, rights: Rights) -> None:
    """Let a job of that kind pass where the rights reach so far.

    Raises:
        KindNotAllowed: they do not.
    """
    if not rights.allow(kind):
        raise KindNotAllowed(kind, rights)


def enqueue(connection: Connection, job: NewJob) -> Accepted:
    """Write a prepared job that comes after no other and holds no key.

    It is accepted once the connection's transaction is committed.
    """
    return transitions.enqueue(connection, [job])[job.id]


class RefusedJobs(Exception):  # noqa: N818 - reads as what happened
    """The ledger shows that some of several jobs cannot be accepted.

    Args:
        problems: by their places among them.
    """

    def __init__(self, problems: Mapping[int, Refused]) -> None:
        super().__init__(f"{len(problems)} jobs cannot be accepted")
        self.problems = problems


class Standing(Exception):  # noqa: N818 - as above
    """Another job holds a unique key.

    Args:
        holders: for each new job whose key is held the job that holds it.
    """

    def __init__(self, holders: Mapping[UUID, UUID]) -> None:
        super().__init__("a unique key is held")
        self.holders = holders


def accept(
    connection: Connection,
    payloads: Payloads,
    client_id: UUID,
    jobs: Sequence[NewJob],
    admit: Callable[[UUID, int], None],
    *,
    breathe: Callable[[], None] = lambda: None,
) -> dict[UUID, Accepted]:
    """Write prepared jobs of a client, all or none of them; as `enqueue`, and their chains and keys too.

    Args:
        connection: of an open transaction.
        payloads: checks what chains refer to.
        client_id: whose jobs they are.
        jobs: what to write.
        admit: called with the client and the number of jobs once all else is well; may refuse by raising.
        breathe: called between long computations, for others to have a turn.

    Raises:
        RefusedJobs: one comes after what is no job of the client's or can never succeed, refers to a result
            that there cannot be, or has expired. The transaction must be rolled back, here and below.
        Standing: another job holds the unique key of one.
    """
    own = {job.id: Followed(job.id, job.kind, State.SCHEDULED) for job in jobs}
    others = {after for job in jobs for after in job.after} - own.keys()
    # Once without locks, for the checks of many jobs take their time.
    known = _by_id(followups.find(connection, others, client_id)) | own
    _all_linked(jobs, known, payloads, breathe)
    linked = _all_linked(jobs, _by_id(followups.follow(connection, others, client_id)) | own, None, breathe)
    wishes = {job.id: job.unique_key for job in jobs if job.unique_key}
    if holders := unique_keys.hold(connection, client_id, wishes):
        raise Standing(holders)
    admit(client_id, len(jobs))
    accepted: dict[UUID, Accepted] = {}
    for start in range(0, len(linked), _SLICE):
        accepted |= transitions.enqueue(connection, linked[start : start + _SLICE])
    return accepted


def _by_id(found: Iterable[Followed]) -> dict[UUID, Followed]:
    return {job.id: job for job in found}


def _all_linked(
    jobs: Sequence[NewJob],
    known: Mapping[UUID, Followed],
    payloads: Payloads | None,
    breathe: Callable[[], None],
) -> list[NewJob]:
    linked, problems = [], {}
    for place, job in enumerate(jobs):
        if payloads is not None and place % _FEW == 0:
            breathe()
        try:
            linked.append(_linked(job, known, payloads))
        except Refused as refused:
            problems[place] = refused
    if problems:
        raise RefusedJobs(problems)
    return linked


def _linked(job: NewJob, known: Mapping[UUID, Followed], payloads: Payloads | None) -> NewJob:
    # Not in `prepare`: a repetition under its Idempotency-Key may well come later than that.
    _require(job.expires_at is None or job.expires_at > datetime.now(UTC), "expires_at", "is in the past")
    if not job.after:
        return job
    for place, after in enumerate(job.after):
        before = known.get(after)
        if before is None:
            raise Refused(f"after[{place}]", "there is no such job")
        if before.state in FINAL - {State.SUCCEEDED}:
            raise Refused(
                f"after[{place}]", f"it has {before.state} already, so this one could never begin; retry it"
            )
    if payloads is not None:
        payloads.check_results(job.kind, job.takes, {after: known[after].kind for after in job.after})
    unmet = [after for after in job.after if known[after].state is not State.SUCCEEDED]
    return msgspec.structs.replace(job, unmet=unmet)


def message_of(job: NewJob) -> Message:
    """The message that a worker gets of a job."""
    return Message(
        job_id=job.id,
        kind=job.kind,
        queue=job.queue,
        priority=job.priority,
        description=job.description,
        request_id=job.request_id,
        alone=False,
    )


def submission(kind: str, payload: Mapping[str, Any], **options: Any) -> Submission:
    """A submission made in Python: of a schedule, or of a command."""
    return Submission(kind=kind, payload=msgspec.Raw(msgspec.json.encode(payload)), **options)


def in_utc(moment: datetime | None, field: str) -> datetime | None:
    """A moment that a client gave, as the ledger takes it: PostgreSQL knows no offset beyond 16 hours.

    Raises:
        Refused: it leaves the years that Python knows.
    """
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        # PostgreSQL would take it, and no Python could read the job again.
        raise Refused(field, "is not between the years 1 and 9999 UTC") from None


def _queue(kind: AnyKind, wanted: str | None) -> str:
    allowed = [queue.name for queue in kind.queues]
    if wanted is not None and wanted not in allowed:
        raise Refused("queue", f"is none of those that {kind.name} allows: {', '.join(allowed)}")
    return wanted or kind.queue.name


def _unique(word: str | UniqueWord | None) -> UniqueKey | None:
    if word is None:
        return None
    wanted = UniqueWord(key=word) if isinstance(word, str) else word
    states: Collection[State] = LIVE if wanted.window is None else LIVE | {State.SUCCEEDED}
    return UniqueKey(key=wanted.key, states=tuple(sorted(set(wanted.states or states))), window=wanted.window)


def _after(written: Sequence[str], names: Mapping[str, UUID]) -> dict[str, UUID]:
    """The jobs that a submission comes after, by what the client calls them."""
    return {word: names.get(word) or _job_id(place, word) for place, word in enumerate(written)}


def _job_id(place: int, word: str) -> UUID:
    try:
        return UUID(word)
    except ValueError:
        problem = "is neither the id of a job nor the name of one in the same batch"
        raise Refused(f"after[{place}]", problem) from None


def _printable(text: str) -> str:
    # PostgreSQL's text holds no NUL, and Flower and a terminal should get no control characters.
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _require(condition: bool, field: str, reason: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise Refused(field, reason)
