"""Accepting a job: validate, then write it to the ledger. Publishing follows the commit."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from worker.catalog import AnyKind, Catalog
from worker.contract.payload import Payload
from worker.contract.rights import Rights
from worker.contract.states import Priority
from worker.ledger import transitions
from worker.ledger.ids import new_id
from worker.ledger.records import Accepted, Message, NewJob

# A look-ahead, for Python's $ would let a last newline pass.
Tag = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])")]
Moment = Annotated[datetime, Meta(tz=True)]

_EVERYTHING = Rights()


class Submission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request for work, as a client or a schedule words it."""

    kind: Annotated[str, Meta(description="What to do: a name of `GET /v1/kinds`.", max_length=200)]
    payload: Annotated[msgspec.Raw, Meta(description="The kind's input.")] = msgspec.Raw(b"{}")
    priority: Annotated[Priority, Meta(description="Rank among the queued jobs of its queue.")] = (
        Priority.NORMAL
    )
    scheduled_at: Annotated[
        Moment | None, Meta(description="Not before this time (RFC 3339, with an offset).")
    ] = None
    expires_at: Annotated[Moment | None, Meta(description="A job not started by then ends failed.")] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(description="Runs in all, the first included; unset: the kind's number."),
    ] = None
    tags: Annotated[list[Tag], Meta(description="Words to find the job by.", max_length=20)] = []


class Refused(ValueError):  # noqa: N818 - reads as what happened
    """A submission cannot be accepted.

    Args:
        field: the offending field as a path, `payload.url`.
        reason: what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


# msgspec says where at the end of its message, and which field in its middle.
_WHERE = re.compile(r"^(.*?)(?: - at (?:`key` in )?`\$([^`]*)`)?$", re.DOTALL)
_SAID = re.compile(r"([a-z][a-z0-9_]*): ")  # how the checks of a payload itself begin
_WHICH = re.compile(r" (?:unknown|required) field `(.*)`$", re.DOTALL)


def refusal(error: msgspec.ValidationError, root: str = "") -> Refused:
    """What msgspec found wrong, with the path of the field; `root` is where the checked value stands."""
    found = _WHERE.match(str(error))
    reason, path = found.groups(default="") if found else (str(error), "")
    named = _WHICH.search(reason) or _SAID.match(reason)
    field = root + path + (f".{named[1]}" if named else "")
    return Refused(field.lstrip("."), reason)


class UnknownKind(Refused):
    """There is no such kind; `known` lists those there are."""

    def __init__(self, kind: str, known: list[str]) -> None:
        super().__init__("kind", f"there is no kind {kind!r}; known are {', '.join(known)}")
        self.known = known


class KindNotAllowed(Refused):
    """The kind is none of those that the key may submit."""

    def __init__(self, kind: str, rights: Rights) -> None:
        super().__init__("kind", f"this key may not submit {kind}; it may submit {str(rights) or 'nothing'}")
        self.rights = rights


class Enqueuer:
    """Turns submissions into jobs of the ledger."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._decoders = {name: msgspec.json.Decoder(kind.payload_type) for name, kind in catalog.items()}

    def prepare(
        self,
        submission: Submission,
        client_id: UUID,
        request_id: str | None,
        *,
        published: bool = False,
        rights: Rights = _EVERYTHING,
    ) -> NewJob:
        """Validate a submission.

        Raises:
            KindNotAllowed: the rights do not reach so far; the payload was not looked at.
            Refused: a field is out of range; nothing was written.
        """
        kind = self._kind(submission.kind)
        require_right(kind.name, rights)
        payload = self._payload(kind, submission.payload)
        scheduled_at = _utc(submission.scheduled_at, "scheduled_at")
        expires_at = _utc(submission.expires_at, "expires_at")
        if expires_at and scheduled_at:
            _require(expires_at > scheduled_at, "expires_at", "is before scheduled_at")
        return NewJob(
            id=new_id(),
            client_id=client_id,
            kind=kind.name,
            queue=kind.queue.name,
            payload=msgspec.json.encode(payload),
            description=_printable(payload.describe()[:200]),
            max_attempts=submission.max_attempts or kind.max_attempts,
            priority=submission.priority,
            tags=submission.tags,
            request_id=request_id,
            scheduled_at=scheduled_at,
            expires_at=expires_at,
            published=published and scheduled_at is None,
        )

    def _kind(self, name: str) -> AnyKind:
        kind = self._catalog.get(name)
        if kind is None:
            raise UnknownKind(name, list(self._catalog))
        return kind

    def _payload(self, kind: AnyKind, raw: msgspec.Raw) -> Payload:
        try:
            payload: Payload = self._decoders[kind.name].decode(raw)
        except RecursionError:
            raise Refused("payload", "is nested too deeply") from None
        except msgspec.ValidationError as error:
            raise refusal(error, "payload") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Inside a raw payload only the decoder of its kind looks at the text of strings.
            raise Refused("payload", f"holds text that is no Unicode: {error}") from None
        return payload


def require_right(kind: str, rights: Rights) -> None:
    """Let a job of that kind pass where the rights reach so far.

    Raises:
        KindNotAllowed: they do not.
    """
    if not rights.allow(kind):
        raise KindNotAllowed(kind, rights)


def enqueue(connection: Connection, job: NewJob) -> Accepted:
    """Write a prepared job; it is accepted once the connection's transaction is committed."""
    return transitions.enqueue(connection, [job])[job.id]


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


def _utc(moment: datetime | None, field: str) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:
        # PostgreSQL would take it, and no Python could read the job again.
        raise Refused(field, "is not between the years 1 and 9999 UTC") from None


def _printable(text: str) -> str:
    # PostgreSQL's text holds no NUL, and Flower and a terminal should get no control characters.
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _require(condition: bool, field: str, reason: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise Refused(field, reason)
