"""Requests that are no HTTP, or more of it than is read here: no application ever sees them."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from gunicorn.http import errors
from loguru import logger

from api.errors import MEDIA_TYPE, Problem, document
from worker.ledger.ids import new_id

# Status and detail, which names limits of the configuration.
_TOLD: Mapping[type[Exception], tuple[int, str]] = MappingProxyType(
    {
        errors.LimitRequestLine: (
            HTTPStatus.REQUEST_URI_TOO_LONG,
            "the request line is longer than {0.limit_request_line} bytes",
        ),
        errors.LimitRequestHeaders: (
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            "there are over {0.limit_request_fields} headers, or {0.limit_request_field_size} bytes in one",
        ),
        errors.ExpectationFailed: (
            HTTPStatus.EXPECTATION_FAILED,
            "nothing can be expected here but `100-continue`",
        ),
        errors.UnsupportedTransferCoding: (
            HTTPStatus.NOT_IMPLEMENTED,
            "send the body with no transfer coding but chunked",
        ),
        errors.InvalidRequestLine: (HTTPStatus.BAD_REQUEST, "the request line is none of HTTP/1.1"),
        errors.InvalidRequestMethod: (HTTPStatus.BAD_REQUEST, "the method is none of HTTP"),
        errors.InvalidHTTPVersion: (
            HTTPStatus.BAD_REQUEST,
            "the version is none of HTTP/1",
        ),
        errors.InvalidHeaderName: (HTTPStatus.BAD_REQUEST, "a header's name is none of HTTP"),
        errors.InvalidHeader: (
            HTTPStatus.BAD_REQUEST,
            "a header is malformed, or contradicts another one: look at Content-Length and Transfer-Encoding",
        ),
        errors.ObsoleteFolding: (HTTPStatus.BAD_REQUEST, "a header goes on in a second line"),
    }
)
_OTHERWISE = (HTTPStatus.BAD_REQUEST, "the request is none of HTTP/1.1")


def answer(error: errors.ParseException, config: Any) -> bytes:
    """The whole answer to such a request, which is logged under the id that it shows.

    Args:
        error: of gunicorn. Its text is not told on: it may quote the header with the key.
        config: of gunicorn, with the limits.
    """
    status, detail = _TOLD.get(type(error), _OTHERWISE)
    request_id = str(new_id())
    logger.warning("request_malformed", status=int(status), error=type(error).__name__, request_id=request_id)
    body = document(Problem(status, detail.format(config)), request_id)
    head = (
        f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
