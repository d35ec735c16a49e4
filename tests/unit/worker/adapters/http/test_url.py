"""Taking URLs apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.adapters.http.url import Url
from worker.contract import Fatal


@pytest.mark.parametrize(
    ("text", "host", "port", "target", "authority"),
    [
        ("http://Example.COM", "example.com", 80, "/", "example.com"),
        ("HTTPS://example.com:443/a?b#c", "example.com", 443, "/a?b", "example.com"),
        ("http://example.com:8080/a b", "example.com", 8080, "/a%20b", "example.com:8080"),
        ("http://example.com./", "example.com.", 80, "/", "example.com"),
        ("http://bücher.example/ü?é", "xn--bcher-kva.example", 80, "/%C3%BC?%C3%A9", None),
        ("http://[::1]:81/", "::1", 81, "/", "[::1]:81"),
        ("http://%6cocalhost/", "localhost", 80, "/", "localhost"),
        ("http://example.com\\@10.0.0.1/", "example.com", 80, "/%5C@10.0.0.1/", "example.com"),
        ("http://example.com?x", "example.com", 80, "/?x", "example.com"),
    ],
)
def test_the_parts_are_normalised(
    text: str, host: str, port: int, target: str, authority: str | None
) -> None:
    url = Url.parse(text)
    assert (url.host, url.port, url.target) == (host, port, target)
    assert url.authority == (authority or host)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gopher://example.com/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("example.com", "only http and https"),
        ("//example.com", "only http and https"),
        ("", "only http and https"),
        ("http://user:hush@example.com/", "credentials"),
        ("http://user@example.com/", "credentials"),
        ("http://", "no host"),
        ("http://./", "no host"),
        ("http:///x", "no host"),
        ("http://[fe80::1%25eth0]/", "no host"),
        ("http://a%20b/", "no host"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "cannot be parsed"),
        ("http://[::1/", "cannot be parsed"),
        ("http://a b/", "cannot be parsed"),
        ("http://a\x00b/", "cannot be parsed"),
    ],
)
def test_what_cannot_be_fetched_is_fatal_and_not_repeated(text: str, reason: str) -> None:
    with pytest.raises(Fatal, match=reason) as caught:
        Url.parse(text)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "http://a.example/b"),
        ("c?d", "http://a.example/x/c?d"),
        ("//b.example/", "http://b.example/"),
        ("https://a.example:8443/", "https://a.example:8443/"),
        ("?q", "http://a.example/x/y?q"),
    ],
)
def test_a_reference_is_resolved_from_where_it_stands(location: str, url: str) -> None:
    assert str(Url.parse("http://a.example/x/y").join(location)) == url


def test_the_port_and_the_scheme_belong_to_the_origin_and_the_dot_does_not() -> None:
    origin = Url.parse("https://a.example/").origin
    assert origin == Url.parse("https://a.example.:443/x").origin
    assert origin != Url.parse("http://a.example/").origin
    assert origin != Url.parse("https://a.example:8443/").origin


@settings(deadline=None)
@given(st.text())
def test_no_reference_fails_in_another_way(reference: str) -> None:
    try:
        url = Url.parse("http://a.example/").join(reference)
    except Fatal:
        return
    assert url.scheme in {"http", "https"}
    assert url.target.isascii()
    assert not set(url.target) & set(" \r\n\t\x00\x7f")
    assert url.host.isascii()
