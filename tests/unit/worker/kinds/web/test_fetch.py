"""`web.fetch`: what it accepts, and what a status means."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from tests.fakes import FakeContext
from worker.contract import Cancelled, Context, Fatal, Retryable
from worker.contract.ports import Fetched, Fetcher, FetchRequest
from worker.kinds.web.fetch import WebFetch, fetch

URL = "https://example.com/data?token=hush"


@dataclass
class FakeFetcher:
    """Gives one prepared answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: tuple[bytes, ...] = (b"hello ", b"world")
    retry_after: float | None = None
    requests: list[FetchRequest] = field(default_factory=list)

    @contextmanager
    def fetch(self, request: FetchRequest, check: Callable[[], None]) -> Iterator[Fetched]:
        self.requests.append(request)
        check()
        yield Fetched(
            status=self.status,
            headers=self.headers,
            url="https://example.com/moved",
            redirects=1,
            retry_after=self.retry_after,
            body=iter(self.pieces),
        )


def decode(**fields: Any) -> WebFetch:
    """A payload as the API makes it."""
    return msgspec.json.decode(msgspec.json.encode({"url": URL} | fields), type=WebFetch)


def run(fetcher: FakeFetcher, ctx: FakeContext | None = None, **fields: Any) -> Any:
    return fetch(decode(**fields), ctx or FakeContext(), fetcher)


def test_the_fakes_are_what_the_contract_says() -> None:
    context: Context = FakeContext()
    fetcher: Fetcher = FakeFetcher()
    assert fetch(decode(), context, fetcher).status == 200


def test_the_result_tells_status_headers_size_digest_url_and_redirects() -> None:
    result = run(FakeFetcher(headers={"etag": '"1"'}))
    assert (result.status, result.headers, result.bytes) == (200, {"etag": '"1"'}, 11)
    assert result.sha256 == hashlib.sha256(b"hello world").hexdigest()
    assert (result.url, result.redirects) == ("https://example.com/moved", 1)
    assert 0 <= result.wait_seconds <= result.seconds
    assert msgspec.json.decode(msgspec.json.encode(result))["bytes"] == 11


def test_the_body_becomes_an_artifact_of_the_answers_type() -> None:
    ctx = FakeContext()
    run(FakeFetcher(headers={"content-type": "text/html; charset=utf-8"}), ctx)
    assert ctx.saved["body"].content == b"hello world"
    assert ctx.saved["body"].content_type == "text/html; charset=utf-8"
    assert ctx.reports[-1][0] == 11


@pytest.mark.parametrize("given", ["", "html", "text/html\tx", "text/<script>", "a/b" + "c" * 300 + "é"])
def test_a_type_that_is_none_is_not_passed_on(given: str) -> None:
    ctx = FakeContext()
    run(FakeFetcher(headers={"content-type": given}), ctx)
    assert ctx.saved["body"].content_type == "application/octet-stream"


def test_a_head_has_no_artifact() -> None:
    ctx = FakeContext()
    result = run(FakeFetcher(pieces=()), ctx, method="HEAD")
    assert (result.bytes, result.sha256, ctx.saved) == (0, hashlib.sha256().hexdigest(), {})


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 410])
def test_what_the_server_says_for_good_is_the_result(status: int) -> None:
    assert run(FakeFetcher(status=status)).status == status


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
@pytest.mark.parametrize("expected", [[], [200]])
def test_what_may_pass_is_retried_when_the_server_says(status: int, expected: list[int]) -> None:
    ctx = FakeContext()
    with pytest.raises(Retryable, match=f"answered {status}") as caught:
        run(FakeFetcher(status=status, retry_after=12.0), ctx, expected_statuses=expected)
    assert caught.value.after == 12
    assert not ctx.saved


def test_an_expected_status_succeeds_whatever_it_is() -> None:
    assert run(FakeFetcher(status=503), expected_statuses=[200, 503]).status == 503


@pytest.mark.parametrize("status", [200, 302, 404])
def test_an_unexpected_status_is_fatal(status: int) -> None:
    with pytest.raises(Fatal, match=f"answered {status}; expected 201, 204"):
        run(FakeFetcher(status=status), expected_statuses=[201, 204])


def test_the_deadline_bounds_the_timeout() -> None:
    fetcher = FakeFetcher()
    run(fetcher, FakeContext(left=3.0), timeout=20)
    run(fetcher, FakeContext(left=30.0), timeout=20)
    assert [request.timeout for request in fetcher.requests] == [3, 20]


def test_a_cancel_is_heard() -> None:
    with pytest.raises(Cancelled):
        run(FakeFetcher(), FakeContext(cancelled=True))


def test_text_and_bytes_are_posted() -> None:
    fetcher = FakeFetcher()
    run(fetcher, method="POST", body="é")
    run(fetcher, method="POST", body_base64="AAEC")
    run(fetcher, method="POST", body="{}", headers={"Content-Type": "application/json"})
    run(fetcher, method="POST")
    assert [(request.body, request.headers) for request in fetcher.requests] == [
        ("é".encode(), {"content-type": "text/plain; charset=utf-8"}),
        (b"\x00\x01\x02", {"content-type": "application/octet-stream"}),
        (b"{}", {"content-type": "application/json"}),
        (None, {}),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"url": "example.com"}, "url: must be absolute"),
        ({"url": "ftp://example.com"}, "url: must be absolute"),
        ({"url": "file:///etc/passwd"}, "url: must be absolute"),
        ({"url": "http:///path"}, "url: must be absolute"),
        ({"url": "http://user:hush@example.com"}, "url: holds credentials"),
        ({"url": "http://@example.com"}, "url: holds credentials"),
        ({"url": "http://exa mple.com"}, "url: holds a space or a control"),
        ({"url": "http://example.com/\r\nX: y"}, "url: holds a space or a control"),
        ({"url": "http://[::1"}, "url: cannot be parsed"),
        ({"url": "http://example.com:99999"}, "url: cannot be parsed"),
        ({"url": "http://example.com/" + "a" * 9000}, "length <= 8192"),
        ({"method": "DELETE"}, "Invalid enum value 'DELETE'"),
        ({"headers": {"X": "a", "A b": "c"}}, "headers: 'A b' is no name of a header"),
        ({"headers": {"A\n": "c"}}, r"headers: 'A\\n' is no name of a header"),
        ({"headers": {"X": "a", "A": "b\r\nC: d"}}, "headers: the value of A holds a character"),
        ({"headers": {"A": "b\n"}}, "headers: the value of A holds a character"),
        ({"headers": {"A": "\u20ac"}}, "headers: the value of A holds a character"),
        ({"headers": {"a": "b", "A": "b"}}, "headers: A is given twice"),
        *(
            ({"headers": {name: "x"}}, f"headers: {name} is the fetcher's own")
            for name in ("Host", "CONTENT-LENGTH", "Transfer-Encoding", "Connection", "Proxy-Authorization")
        ),
        ({"headers": {f"A{n}": "" for n in range(65)}}, "length <= 64"),
        ({"body": "x"}, "body: a GET has none"),
        ({"method": "POST", "body": "x", "body_base64": "AAEC"}, "body: give it as text or"),
        ({"timeout": 0}, "> 0"),
        ({"timeout": 1e9}, "<= 240"),
        ({"max_bytes": 2**40}, "<= 104857600"),
        ({"max_redirects": 21}, "<= 20"),
        ({"expected_statuses": [101]}, ">= 200"),
        ({"verify": False}, "unknown field `verify`"),
    ],
)
def test_a_payload_that_cannot_be_meant_is_refused_with_the_reason(
    fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        decode(**fields)


def test_the_description_hides_the_query_and_the_deeper_path() -> None:
    assert decode().describe() == "GET https://example.com/data"
    assert decode(url="https://hooks.example.com/services/s3cret").describe() == (
        "GET https://hooks.example.com/services/…"
    )
    assert len(decode(url="http://example.com/" + "a" * 500).describe()) < 200


def test_the_kind_is_declared_for_the_web_queue() -> None:
    assert (fetch.name, fetch.queue.name, fetch.ports) == ("web.fetch", "web", {"fetcher": Fetcher})
    assert fetch.deadline > 240  # the longest timeout leaves time to finish
