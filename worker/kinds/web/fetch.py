"""`web.fetch`: fetch a URL and keep its body as an artifact."""

import hashlib
import re
import time
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Meta

from worker.contract import WEB, Context, Fatal, Payload, Result, Retryable, kind, minutes
from worker.contract.ports import Fetched, Fetcher, FetchRequest

MEBIBYTE = 1024 * 1024

# The fetcher's own: they say where a message ends, whom it is for, and how the connection is kept
# (RFC 9110, sections 7.2, 7.6.1, 8.6 and 10.1.1).
RESERVED = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# RFC 9110, sections 5.1 and 5.5. In the schema alone: the payload itself can say which header it is.
NAME = r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$"
VALUE = r"^[\t\x20-\x7e\x80-\xff]*$"
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+[\x20-\x7e]{0,150}", re.ASCII)

Url = Annotated[
    str,
    Meta(
        max_length=8192,
        description="Absolute, http or https, without credentials. Its host must be on the public network,"
        " unless the operator allows it.",
        examples=["https://example.com/data.json"],
    ),
]
Method = Annotated[Literal["GET", "HEAD", "POST"], Meta(description="HTTP method.", examples=["GET"])]
HeaderName = Annotated[str, Meta(max_length=256, extra_json_schema={"pattern": NAME})]
HeaderValue = Annotated[str, Meta(max_length=8192, extra_json_schema={"pattern": VALUE})]
Headers = Annotated[
    dict[HeaderName, HeaderValue],
    Meta(
        max_length=64,
        description="Request headers. Host, Content-Length and the hop-by-hop ones are refused. On a"
        " redirect to another origin all but a few harmless ones are left out.",
        examples=[{"Accept": "application/json"}],
    ),
]
Text = Annotated[str, Meta(max_length=MEBIBYTE)]
TextBody = Annotated[Text | None, Meta(description="Text to POST, sent as UTF-8.", examples=['{"n": 1}'])]
Octets = Annotated[bytes, Meta(max_length=MEBIBYTE)]
OctetsBody = Annotated[
    Octets | None, Meta(description="Bytes to POST, instead of `body`.", examples=["AAEC"])
]
Timeout = Annotated[
    float,
    Meta(gt=0, le=240, description="Seconds for everything: redirects, body and all.", examples=[30.0]),
]
MaxBytes = Annotated[
    int,
    Meta(
        ge=1,
        le=100 * MEBIBYTE,
        description="Largest body, after decoding, that is taken; a larger one fails the job.",
        examples=[10 * MEBIBYTE],
    ),
]
MaxRedirects = Annotated[
    int,
    Meta(
        ge=0,
        le=20,
        description="Redirects to follow; one more fails the job. 0: a redirect is the result.",
        examples=[5],
    ),
]
Status = Annotated[int, Meta(ge=200, le=599)]
ExpectedStatuses = Annotated[
    tuple[Status, ...],
    Meta(
        max_length=100,
        description="Statuses that succeed; any other fails the job, 429 and 5xx after retries."
        " Empty: 429 and 5xx are retried, and any other status is a result.",
        examples=[[200, 404]],
    ),
]


class WebFetch(Payload, frozen=True, kw_only=True):
    """What to fetch. A POST may be sent more than once: give it an `Idempotency-Key` where that matters."""

    EXAMPLE: ClassVar[Mapping[str, Any] | None] = {"url": "https://example.com/"}
    NEEDS = "A way to the internet."

    url: Url
    method: Method = "GET"
    headers: Headers = {}  # noqa: RUF012 - msgspec makes a new one for each payload
    body: TextBody = None
    body_base64: OctetsBody = None
    timeout: Timeout = 30.0
    max_bytes: MaxBytes = 10 * MEBIBYTE
    max_redirects: MaxRedirects = 5
    expected_statuses: ExpectedStatuses = ()

    def __post_init__(self) -> None:
        """Refuse what no schema can: msgspec reports a ValueError as an error of validation."""
        _check_url(self.url)
        _check_headers(self.headers)
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("body: give it as text or as body_base64, not both")
        if self.method != "POST" and (self.body is not None or self.body_base64 is not None):
            raise ValueError(f"body: a {self.method} has none")

    def describe(self) -> str:
        """Method and URL; query and deeper path are left out, for they may be secrets (webhooks)."""
        parts = _split(self.url)
        first, deeper, _ = parts.path.removeprefix("/").partition("/")
        return f"{self.method} {parts.scheme}://{parts.netloc}/{first}"[:190] + ("/…" if deeper else "")


class WebFetched(Result, frozen=True, kw_only=True):
    """What came back. The body, if the method has one, is the artifact `body`."""

    status: Annotated[int, Meta(description="HTTP status of the last answer.", examples=[200])]
    url: Annotated[
        str,
        Meta(description="Where it came from, after redirects.", examples=["https://example.com/data.json"]),
    ]
    redirects: Annotated[int, Meta(description="How many redirects were followed.", examples=[0])]
    headers: Annotated[
        dict[str, str],
        Meta(
            description="As received, names in lower case; repeated ones are joined by a comma, Set-Cookie"
            " by a newline.",
            examples=[{"content-type": "application/json"}],
        ),
    ]
    bytes: Annotated[int, Meta(description="Size of the body; gzip and deflate are undone.", examples=[2])]
    sha256: Annotated[
        str,
        Meta(
            description="Digest of that body, hexadecimal.",
            examples=["44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"],
        ),
    ]
    wait_seconds: Annotated[
        float, Meta(description="From the start until the head of the answer.", examples=[0.25])
    ]
    seconds: Annotated[float, Meta(description="From the start until the last byte.", examples=[0.31])]


@kind("web.fetch", queue=WEB, max_attempts=5, deadline=minutes(5))
def fetch(payload: WebFetch, ctx: Context, fetcher: Fetcher) -> WebFetched:
    """Fetch a URL with GET, HEAD or POST, and keep the body as the artifact `body`.

    Network errors, 429 and 5xx are retried, after the wait that the server asks for with `Retry-After`
    (an hour at most). What another attempt cannot cure fails the job at once: an address that is not
    public, a body that is too large, too many redirects, a certificate that is not valid.
    """
    started = time.monotonic()
    with fetcher.fetch(_request(payload, ctx), ctx.check_cancelled) as fetched:
        waited = time.monotonic() - started
        _judge(fetched, payload.expected_statuses)
        size, sha256 = (0, hashlib.sha256().hexdigest()) if payload.method == "HEAD" else _save(fetched, ctx)
    return WebFetched(
        status=fetched.status,
        url=fetched.url,
        redirects=fetched.redirects,
        headers=fetched.headers,
        bytes=size,
        sha256=sha256,
        wait_seconds=round(waited, 6),
        seconds=round(time.monotonic() - started, 6),
    )


def _request(payload: WebFetch, ctx: Context) -> FetchRequest:
    headers = {name.lower(): value for name, value in payload.headers.items()}
    body, media_type = _body(payload)
    if body is not None:
        headers.setdefault("content-type", media_type)
    return FetchRequest(
        method=payload.method,
        url=payload.url,
        headers=headers,
        body=body,
        timeout=min(payload.timeout, ctx.remaining()),
        max_bytes=payload.max_bytes,
        max_redirects=payload.max_redirects,
    )


def _body(payload: WebFetch) -> tuple[bytes | None, str]:
    if payload.body is not None:
        return payload.body.encode(), "text/plain; charset=utf-8"
    return payload.body_base64, "application/octet-stream"


def _judge(fetched: Fetched, expected: tuple[int, ...]) -> None:
    """Decide by the status, before the body is read, whether the attempt may succeed."""
    if fetched.status in expected:
        return
    if fetched.status == 429 or fetched.status >= 500:  # noqa: PLR2004 - HTTP statuses
        raise Retryable(f"the server answered {fetched.status}", after=fetched.retry_after)
    if expected:
        wanted = ", ".join(map(str, expected))
        raise Fatal(f"the server answered {fetched.status}; expected {wanted}")


def _save(fetched: Fetched, ctx: Context) -> tuple[int, str]:
    """Write the body into an artifact; its size and its digest."""
    size, digest = 0, hashlib.sha256()
    with ctx.save_artifact("body", _content_type(fetched)) as file:
        for piece in fetched.body:
            file.write(piece)
            digest.update(piece)
            size += len(piece)
            ctx.progress(size, note="bytes received")
    return size, digest.hexdigest()


def _content_type(fetched: Fetched) -> str:
    given = fetched.headers.get("content-type", "")
    return given if MEDIA_TYPE.fullmatch(given) else "application/octet-stream"


def _check_url(url: str) -> None:
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("url: holds a space or a control character; percent-encode it")
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("url: must be absolute, http://... or https://...")
    if "@" in parts.netloc:
        raise ValueError("url: holds credentials; send an Authorization header instead")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number of a port
    except ValueError:
        raise ValueError("url: cannot be parsed") from None
    return parts


def _check_headers(headers: dict[str, str]) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        lowered = name.lower()
        if not re.fullmatch(NAME, name):
            raise ValueError(f"headers: {name!r} is no name of a header")
        if not re.fullmatch(VALUE, value):
            raise ValueError(f"headers: the value of {name} holds a character that no header may")
        if lowered in RESERVED or lowered.startswith("proxy-"):
            raise ValueError(f"headers: {name} is the fetcher's own to set")
        if lowered in seen:
            raise ValueError(f"headers: {name} is given twice")
        seen.add(lowered)
