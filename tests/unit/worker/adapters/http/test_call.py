"""What a redirect makes of a call."""

import pytest

from worker.adapters.http.call import Call
from worker.adapters.http.url import Url
from worker.contract import Fatal

HEADERS = {
    "accept": "text/html",
    "authorization": "Bearer hush",
    "content-type": "text/plain",
    "cookie": "hush",
    "x-api-key": "hush",
}


def call(method: str = "POST", url: str = "https://a.example/x") -> Call:
    return Call(method, Url.parse(url), HEADERS, b"body" if method == "POST" else None)


@pytest.mark.parametrize(
    ("method", "status", "onward"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        *(("GET", status, "GET") for status in (301, 302, 303, 307, 308)),
        *(("HEAD", status, "HEAD") for status in (301, 302, 303, 307, 308)),
    ],
)
def test_the_method_follows_rfc_9110(method: str, status: int, onward: str) -> None:
    following = call(method).redirected(status, "/y")
    assert following.method == onward
    assert following.body == (b"body" if onward == "POST" else None)
    assert ("content-type" in following.headers) == (method == onward)


def test_a_location_is_read_as_utf8() -> None:
    assert call().redirected(302, "/ü".encode().decode("latin-1")).url.target == "/%C3%BC"


def test_an_origin_keeps_its_credentials() -> None:
    assert call().redirected(307, "https://A.example:443/y").headers == HEADERS


@pytest.mark.parametrize(
    "location",
    ["https://b.example/", "http://a.example/", "https://a.example:8443/", "//a.example.b.example/"],
)
def test_another_origin_gets_none_and_the_way_back_returns_none(location: str) -> None:
    away = call("GET").redirected(302, location)
    assert away.headers == {"accept": "text/html", "content-type": "text/plain"}
    assert away.redirected(302, "https://a.example/x").headers == away.headers


@pytest.mark.parametrize(
    "location", ["javascript:alert(1)", "http://user:hush@a.example/", "http://[", "file:///etc/passwd"]
)
def test_a_location_that_is_no_web_page_is_fatal(location: str) -> None:
    with pytest.raises(Fatal) as caught:
        call().redirected(302, location)
    assert "hush" not in str(caught.value)
