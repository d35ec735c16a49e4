"""The vocabulary in which `api.operations` says what routes do: operations, their headers, their errors.

What belongs to a status or to a header is said here once, and holds for every operation that has it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from worker.contract import Scope


@dataclass(frozen=True)
class Header:
    """A header of requests or of answers."""

    name: str
    description: str
    example: str | int
    pattern: str | None = None

    @property
    def schema(self) -> Mapping[str, Any]:
        """What it may say."""
        if isinstance(self.example, int):
            return {"type": "integer", "minimum": 0}
        return {"type": "string"} | ({"pattern": self.pattern} if self.pattern else {})


# Of requests. A preference or a condition that makes no sense is passed over, so their schemas are just text.
PREFER = Header(
    "Prefer",
    "`wait=N`: hold the answer until the job, or each job of the batch, ended, N seconds at most (RFC 7240)."
    " A preference that cannot be read is passed over, as RFC 7240 wants it, and is no error.",
    "wait=10",
)
IDEMPOTENCY_KEY = Header(
    "Idempotency-Key",
    "1 to 255 printable ASCII characters, quoted or bare: a repetition of the same request is answered with"
    " the same job or batch (draft-ietf-httpapi-idempotency-key-header-07). It is remembered for 48 hours,"
    " unless the operator changed that, and never for less than 24.",
    '"8e03978e-40d5-43e8-bc93-6894a57f9324"',
    r'^(?:"(?:[ !#-\[\]-~]|\\["\\]){1,255}"|[!#-~](?:[ -~]{0,253}[!-~])?)$',
)
IF_NONE_MATCH = Header(
    "If-None-Match",
    "Entity tags: the answer is 304 where it is still one of them (RFC 9110, section 13.1.2).",
    '"0f343b0931126a20f133d67c2b018a3b"',
)
RANGE = Header("Range", "One range of bytes (RFC 9110, section 14.2).", "bytes=0-1023")
IF_RANGE = Header(
    "If-Range",
    "An entity tag: the range is heeded only where the file still has it.",
    '"0f343b0931126a20f133d67c2b018a3b"',
)
REQUEST_ID = Header(
    "X-Request-Id",
    "The request's id: the one that it came with, where that has 1 to 128 of the characters"
    " A-Z a-z 0-9 . _ ~ : / + = @ -, and otherwise a new one.",
    "0190a7c0-0000-7000-8000-000000000000",
)

# Of answers.
CONTENT_LOCATION = Header(
    "Content-Location",
    "Whose state the answer shows (RFC 9110, section 8.7).",
    "/v1/jobs/0190a7c0-0000-7000-8000-000000000000",
)
LOCATION = Header("Location", "Where it is to be found.", "/v1/jobs/0190a7c0-0000-7000-8000-000000000000")
RETRY_AFTER = Header("Retry-After", "Seconds after which to ask again.", 1)
_APPLIED = Header("Preference-Applied", "The wait that was applied (RFC 7240, section 3).", "wait=10")
_ETAG = Header("ETag", "Of what is answered, for If-None-Match.", '"0f343b0931126a20f133d67c2b018a3b"')
_CACHE_CONTROL = Header("Cache-Control", "To be asked for again with each use.", "private, no-cache")
_CHALLENGE = Header("WWW-Authenticate", "Why the key is not good (RFC 6750, section 3).", "Bearer")
_CODINGS = Header("Accept-Encoding", "The content codings that bodies may have: none.", "identity")
_FILE = (
    Header("Accept-Ranges", "Parts can be asked for.", "bytes"),
    Header("Repr-Digest", "SHA-256 of the whole file (RFC 9530).", "sha-256=:47DEQpj8HBSa+/TImW+5JA==:"),
    Header("Content-Disposition", "The file's name.", 'attachment; filename="report.pdf"'),
    Header("X-Content-Type-Options", "No browser may guess another type.", "nosniff"),
)
_ALLOW = Header("Allow", "The methods that this resource knows.", "GET, HEAD, OPTIONS")
_CONTENT_RANGE = Header("Content-Range", "Which part it is, and of how many bytes.", "bytes 0-1023/4096")
_LIMITS = (
    Header("RateLimit", "What is left of the quota, where the operator set one.", '"key";r=59;t=60'),
    Header("RateLimit-Policy", "The quota, where the operator set one.", '"key";q=60;w=60'),
)

# Any request can meet these; so can any that needs a key, and any that has a body.
_EVERYWHERE = {
    400: "The request is malformed (`invalid-fields`, `malformed-json`).",
    405: "Another method of this path, which the resource does not know.",
    414: "The request line is too long.",
    417: "It expects what is not known here.",
    431: "There are too many headers, or one is too long.",
    500: "Something broke that should not have; the log has it under the request's id.",
    503: "The ledger does not answer, or the process stops; try again.",
}
_WITH_KEY = {
    401: "There is no API key (`key-missing`), or it is not good (`key-not-good`).",
    403: "The key does not have the scope for this (`scope-missing`).",
    429: "Too many requests with this key (`rate-limited`).",
}
_WITH_BODY = {
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body has a content coding, or is of another type.",
    501: "The body has a transfer coding other than chunked.",
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one route.

    `answers` gives for each status what it means and the type of its JSON; None: bytes, or no content.
    `body` is a type of JSON, or `bytes`; `lines` one of NDJSON, which may be sent instead.
    """

    name: str  # for programs that are made from the description: a verb
    summary: str
    scope: Scope | None  # that a key must have; None: no key is needed
    description: str = ""
    answers: Mapping[int, tuple[str, type | None]]
    sent: Mapping[int, tuple[Header, ...]] = field(default_factory=dict)  # by status: its own
    problems: Mapping[int, str] = field(default_factory=dict)  # beyond those that any like it can meet
    query: type[msgspec.Struct] | None = None
    headers: tuple[Header, ...] = ()
    body: type | None = None
    lines: type | None = None
    example: Mapping[str, Any] | None = None  # of the body
    shown: Mapping[int, msgspec.Struct] = field(default_factory=dict)  # by status: an example of the answer
    callbacks: Collection[str] = ()  # what is posted to the URL that the body names: `api.callbacks`

    @property
    def public(self) -> bool:
        """Whether it needs no key."""
        return self.scope is None

    def all_problems(self) -> Mapping[int, str]:
        """Status → what it means, of every error that it can answer with."""
        problems = dict(_EVERYWHERE)
        if not self.public:
            problems |= _WITH_KEY
        if self.body is not None:
            problems |= _WITH_BODY
        return dict(sorted((problems | dict(self.problems)).items()))

    def answer_headers(self, status: int) -> Iterator[Header]:
        """The headers of an answer: its own, and what follows from its status and what can be asked for."""
        yield REQUEST_ID
        if not self.public:
            yield from _LIMITS
        yield from _BY_STATUS.get(status, ())
        yield from self.sent.get(status, ())
        if status in self.answers:
            yield from self._granted()

    def _granted(self) -> Iterator[Header]:
        if PREFER in self.headers:
            yield from (_APPLIED, RETRY_AFTER)
        if IF_NONE_MATCH in self.headers:
            yield from (_ETAG, _CACHE_CONTROL)
        if RANGE in self.headers:
            yield from _FILE


_BY_STATUS: Mapping[int, tuple[Header, ...]] = {
    206: (_CONTENT_RANGE,),
    401: (_CHALLENGE,),
    403: (_CHALLENGE,),
    405: (_ALLOW,),
    415: (_CODINGS,),
    416: (_CONTENT_RANGE,),
    429: (RETRY_AFTER,),
    503: (RETRY_AFTER,),
}
