"""Errors as a client reads them: one problem document for each, whoever raised it (RFC 9457).

They are told apart by their types (`api.problem_types`), and where these are `about:blank` by their status.
Details name what the client sent wrong, never what broke inside.
"""

from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import falcon
import msgspec
from loguru import logger
from msgspec import Meta
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.applications import App, Params, Request, Response
from api.problem_types import BLANK, TITLES, uri
from worker.contract.scopes import Scope
from worker.contract.states import State
from worker.enqueue import KindNotAllowed, Refused, UnknownKind

MEDIA_TYPE = "application/problem+json"

# What Falcon raises without a word about it.
_ADVICE = {
    404: "there is nothing at this path; GET /openapi.json lists what there is, and /docs shows it",
    405: "this resource does not know the method; `Allow` lists those that it knows",
}

_RETRY_AFTER = "2"  # seconds: an outage of the ledger is a restart or a failover

# What the ledger raises when it is away, overloaded, or a standby that does not accept writes yet.
_OUTAGES = (OperationalError, InterfaceError, InternalError, PoolTimeout)


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field that cannot be accepted."""

    field: Annotated[str, Meta(description="Its path.", examples=["payload.url"])]
    reason: Annotated[str, Meta(description="What is wrong with it.")]
    line: Annotated[int | None, Meta(description="Where its job stands, counted from 1, in NDJSON.")] = None


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem (RFC 9457, section 3), with the members that some of our types add."""

    type: Annotated[
        str,
        Meta(
            description="For programs to tell problems apart. `about:blank` means just the status; "
            + "; ".join(f"`{uri(code)}`: {title}" for code, title in TITLES.items())
            + ".",
            examples=[BLANK, *map(uri, TITLES)],
        ),
    ]
    title: Annotated[str, Meta(description="Of the type.", examples=["Some fields cannot be accepted"])]
    status: Annotated[int, Meta(description="Of HTTP.", examples=[422])]
    detail: Annotated[str | None, Meta(description="What is wrong with this request, and what to do.")] = None
    request_id: Annotated[str | None, Meta(description="The log knows the request by it.")] = None
    errors: Annotated[list[FieldError] | None, Meta(description="Which fields, and why.")] = None
    known: Annotated[list[str] | None, Meta(description="The kinds that there are.")] = None
    allowed: Annotated[
        list[str] | None, Meta(description="Patterns of the kinds that the key may submit.")
    ] = None
    state: Annotated[State | None, Meta(description="Of the job that does not allow this.")] = None
    scope: Annotated[Scope | None, Meta(description="That the key has not.")] = None


class Problem(falcon.HTTPError):
    """An error on purpose.

    Args:
        status: of HTTP.
        detail: what is wrong with this request.
        code: the last part of the type (`api.problem_types`); empty: the status says it all.
        headers: of the answer.
        members: further members of the document.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        headers: dict[str, str] | None = None,
        **members: Any,
    ) -> None:
        title = TITLES[code] if code else _phrase(status)
        super().__init__(status, title=title, description=detail, headers=headers)
        self.type = uri(code)
        self.members: dict[str, Any] = members


def invalid(status: int, refused: Refused) -> Problem:
    """A field that cannot be accepted: 422 where the content is well-formed, 400 for parameters."""
    field = refused.field or "body"
    return Problem(
        status,
        f"{field}: {refused.reason}",
        code="invalid-fields",
        errors=[FieldError(field, refused.reason)],
    )


def scope_missing(scope: Scope | None, detail: str) -> Problem:
    """The key does not have a scope."""
    return Problem(
        403,
        detail,
        code="scope-missing",
        headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},  # RFC 6750, 3.1
        scope=scope,
    )


def install(app: App, keyed: Collection[str] = ()) -> None:
    """Make every error of the app a problem document.

    Args:
        app: of Falcon.
        keyed: templates of the routes that heed an Idempotency-Key.
    """
    app.set_error_serializer(_serialize)
    app.add_error_handler(Refused, _refused)
    app.add_error_handler((DBAPIError, PoolTimeout), partial(_ledger_failed, keyed))
    app.add_error_handler(Exception, _unexpected)


def document(error: falcon.HTTPError, request_id: str | None) -> bytes:
    """The problem document of an error."""
    members = error.members if isinstance(error, Problem) else {}
    told = ProblemDocument(
        type=error.type if isinstance(error, Problem) else BLANK,
        title=error.title if isinstance(error, Problem) else _phrase(error.status_code),
        status=error.status_code,
        detail=error.description or _ADVICE.get(error.status_code),
        request_id=request_id,
        **members,
    )
    return msgspec.json.encode(told) + b"\n"


def _serialize(req: Request, resp: Response, error: falcon.HTTPError) -> None:
    resp.content_type = MEDIA_TYPE
    resp.data = document(error, req.context.get("request_id"))


def _refused(_req: Request, _resp: Response, error: Refused, _params: Params) -> None:
    if isinstance(error, UnknownKind):
        problem = Problem(422, error.reason, code="unknown-kind", known=error.known)
        problem.members["errors"] = [FieldError(error.field, error.reason)]
        raise problem
    if isinstance(error, KindNotAllowed):
        raise _not_allowed(error)
    raise invalid(422, error)


def _not_allowed(error: KindNotAllowed) -> Problem:
    if error.operator:
        return scope_missing(Scope.OPERATE, error.reason)
    return Problem(
        403,
        error.reason,
        code="kind-not-allowed",
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},  # RFC 6750, section 3.1
        allowed=list(error.rights.patterns),
    )


def _ledger_failed(
    keyed: Collection[str], req: Request, resp: Response, error: Exception, params: Params
) -> None:
    if not isinstance(error, _OUTAGES) and not getattr(error, "connection_invalidated", False):
        _unexpected(req, resp, error, params)
    logger.warning("ledger_failed", error=type(getattr(error, "orig", None) or error).__name__)
    detail = f"the ledger does not answer; {_what_now(req, keyed)}"
    raise Problem(503, detail, headers={"Retry-After": _RETRY_AFTER}) from error


def _what_now(req: Request, keyed: Collection[str]) -> str:
    if req.method in {"GET", "HEAD"}:
        return "ask again"
    if req.uri_template not in keyed:
        return "look whether this request took effect before you repeat it"
    if req.get_header("Idempotency-Key") is None:
        return "look whether this request took effect; with an Idempotency-Key the next can just be repeated"
    return "repeat this request with the same Idempotency-Key, which takes effect once"


def _unexpected(_req: Request, _resp: Response, error: Exception, _params: Params) -> None:
    logger.opt(exception=error).error("request_failed")
    raise Problem(500, "something broke that should not have; the log has it under the request id") from error


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase
