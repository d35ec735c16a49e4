"""`Idempotency-Key` as clients write it (draft-ietf-httpapi-idempotency-key-header-07).

What a key stands for is remembered by `worker.ledger.idempotency`, in the job's own transaction.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import msgspec
from sqlalchemy import Connection

from api.applications import Request
from api.errors import Problem, invalid
from worker.enqueue import Refused
from worker.ledger import idempotency

# The draft's form is a string of RFC 8941 (section 3.3.3); many clients send it bare.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_ESCAPED = re.compile(r"\\(.)")
_LONGEST = 255


class IdempotencyKey(msgspec.Struct, frozen=True):
    """A key, and what tells a repetition from another request under the same key."""

    key: str
    fingerprint: bytes  # SHA-256 over method, path and body


def idempotency_key(req: Request, body: bytes) -> IdempotencyKey | None:
    """The request's key; None where it has none.

    Raises:
        Problem: 400, it is not 1 to 255 printable characters.
    """
    header = req.get_header("Idempotency-Key")
    if header is None:
        return None
    return IdempotencyKey(_parse(header.strip()), _fingerprint(req, body))


def remembered(connection: Connection, client_id: UUID, key: IdempotencyKey, made: UUID) -> UUID | None:
    """Note what a key stands for; where it stands for something already, the id of that.

    Raises:
        Problem: 422, the key came with another request before.
    """
    earlier = idempotency.remember(connection, client_id, key.key, key.fingerprint, made)
    if earlier is None:
        return None
    if earlier.fingerprint != key.fingerprint:
        raise _reused()
    return earlier.job_id


@contextmanager
def pruned_is_conflict(noun: str) -> Iterator[None]:
    """Read what a key stands for.

    Raises:
        Problem: 409 in place of 404, it was pruned.
    """
    try:
        yield
    except Problem as problem:
        raise Problem(
            409,
            f"this Idempotency-Key stands for a {noun} that was pruned since; take a new key",
            code="idempotency-key-pruned",
        ) from problem


def _reused() -> Problem:
    return Problem(
        422,
        "this Idempotency-Key was used with another request before; take a new one for each request",
        code="idempotency-key-reused",
    )


def _parse(header: str) -> str:
    quoted = _QUOTED.fullmatch(header)
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else header
    well_formed = quoted or (not header.startswith('"') and _BARE.fullmatch(header))
    if not well_formed or not 1 <= len(key) <= _LONGEST:
        raise invalid(400, Refused("Idempotency-Key", f"is not 1 to {_LONGEST} printable ASCII characters"))
    return key


def _fingerprint(req: Request, body: bytes) -> bytes:
    return hashlib.sha256(f"{req.method} {req.path}\n".encode() + body).digest()
