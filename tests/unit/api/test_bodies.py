import io
from collections.abc import Callable

import falcon
import msgspec
import pytest
from falcon.testing import create_environ

from api.bodies import chunks, decode, read_json
from api.errors import Problem
from worker.enqueue import Refused


class Broken(io.RawIOBase):
    """A connection that fails while it is read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self, _size: int = -1) -> bytes:
        raise self.error


def request(stream: object, length: int | None = None, **headers: str) -> falcon.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    environ = create_environ(method="POST", headers={"Content-Type": "application/json"} | named)
    environ["wsgi.input"] = stream
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    return falcon.Request(environ)


def status_of(read: Callable[[], object]) -> int:
    with pytest.raises(Problem) as refused:
        read()
    return refused.value.status_code


def test_a_body_comes_whole_with_and_without_a_length() -> None:
    body = b"x" * 200_000
    assert b"".join(chunks(request(io.BytesIO(body), len(body)), 200_000)) == body
    assert b"".join(chunks(request(io.BytesIO(body)), 200_000)) == body


def test_a_body_that_says_it_is_too_large_is_not_even_read() -> None:
    stream = Broken(AssertionError("read"))
    assert status_of(lambda: list(chunks(request(stream, 11), 10))) == 413


def test_a_body_that_does_not_say_so_is_cut_off() -> None:
    stream = io.BytesIO(b"x" * 1_000_000)
    assert status_of(lambda: list(chunks(request(stream), 10))) == 413
    assert stream.tell() < 100_000


def test_a_body_that_ends_early_is_refused() -> None:
    assert status_of(lambda: list(chunks(request(io.BytesIO(b"abc"), 4), 10))) == 400


@pytest.mark.parametrize(
    ("error", "status"), [(TimeoutError(), 408), (OSError(), 400), (ValueError("no chunk"), 400)]
)
def test_a_connection_that_breaks_is_the_clients_error(error: Exception, status: int) -> None:
    assert status_of(lambda: list(chunks(request(Broken(error)), 10))) == status


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
)
def test_what_is_not_called_json_is_refused(media_type: str) -> None:
    req = request(io.BytesIO(b"{}"), Content_Type=media_type)
    assert status_of(lambda: read_json(req, 10)) == 415


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_may_have_parameters(media_type: str) -> None:
    assert read_json(request(io.BytesIO(b"{}"), Content_Type=media_type), 10) == b"{}"


def test_a_content_coding_is_refused_and_the_answer_says_what_is_understood() -> None:
    req = request(io.BytesIO(b"{}"), Content_Encoding="gzip")
    with pytest.raises(Problem) as refused:
        read_json(req, 10)
    assert refused.value.status_code == 415
    assert refused.value.headers == {"Accept-Encoding": "identity"}


def test_a_transfer_coding_that_hides_the_body_is_not_understood() -> None:
    req = request(io.BytesIO(b"x"), Transfer_Encoding="gzip, chunked")
    assert status_of(lambda: list(chunks(req, 10))) == 501


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    inner: msgspec.Raw = msgspec.Raw(b"{}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name": "a"} x',
        b"[object Object]",
        b"[1,2",
        b"1 2",
        b'{"name": 1, "inner": }',
        b"\xff",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b"\xef\xbb\xbf{}",
        b'{"name": "a", "inner": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_or_too_deep_is_a_bad_request(body: bytes) -> None:
    try:
        assert status_of(lambda: decode(body, msgspec.json.Decoder(Wish))) == 400
    except Refused:
        pytest.fail("it was taken for JSON with a wrong field")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"[]", ""),
        (b"{}", "name"),
        (b'{"name": 1}', "name"),
        (b'{"name": "a", "nmae": "b"}', "nmae"),
    ],
)
def test_json_with_a_wrong_field_names_it(body: bytes, field: str) -> None:
    with pytest.raises(Refused) as refused:
        decode(body, msgspec.json.Decoder(Wish))
    assert refused.value.field == field
