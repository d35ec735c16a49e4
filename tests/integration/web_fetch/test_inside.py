"""No way leads to the inside of the operator's network."""

import re
from ipaddress import ip_network

import pytest

from tests.integration.web_fetch.client import fetch, resolving
from tests.integration.web_fetch.servers import page, web_server
from worker.adapters.http import GuardedFetcher
from worker.contract import Fatal, Retryable

# IDNA and the resolver may know an odd spelling or not; either way nothing is sent.
UNREACHED = re.compile("not on the public network|not the name of a host|cannot be (resolved|parsed)")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "017700000001",
        "0x7f.0.0.1",
        "0x7f000001",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",  # noqa: RUF001 - full-width digits
        "127。0。0。1",
        "localhost",
        "LOCALHOST.",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "10.0.0.1",
        "[fd00:ec2::254]",
    ],
)
def test_no_spelling_of_an_inner_address_is_reached(host: str) -> None:
    fetcher = GuardedFetcher((), "test/1")
    with web_server(lambda _: page()) as server:
        with pytest.raises((Fatal, Retryable), match=UNREACHED):
            fetch(fetcher, f"http://{host}:{server.port}/", timeout=3.0)
        assert not server.connections


def test_an_allowed_network_is_reached_and_its_neighbour_not(fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: page()) as server, web_server(lambda _: page(), "127.0.0.2") as neighbour:
        assert fetch(fetcher, server.url)[0].status == 200
        with pytest.raises(Fatal, match=r"127\.0\.0\.2 is not on the public network"):
            fetch(fetcher, neighbour.url)
        assert not neighbour.connections


def test_a_redirect_to_the_inside_is_not_followed(fetcher: GuardedFetcher) -> None:
    with web_server(lambda _: page(), "127.0.0.2") as inner:
        moved = page(302, b"", f"Location: {inner.url}/secret")
        with web_server(lambda _: moved) as server, pytest.raises(Fatal, match="not on the public network"):
            fetch(fetcher, server.url)
        assert not inner.connections


def test_a_name_is_resolved_once_and_the_connection_goes_where_it_was_checked(
    fetcher: GuardedFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with web_server(lambda _: page(200, b"outer")) as server:
        assert fetch(fetcher, f"http://rebind.test:{server.port}/")[1] == b"outer"
        assert server.requests[0].headers["host"] == f"rebind.test:{server.port}"
        assert asked == ["rebind.test"]
        with pytest.raises(Fatal, match=r"rebind\.test is not on the public network"):
            fetch(fetcher, f"http://rebind.test:{server.port}/")


def test_one_inner_address_among_others_is_enough_to_refuse(
    fetcher: GuardedFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["127.0.0.1", "10.0.0.1"])
    with web_server(lambda _: page()) as server:
        with pytest.raises(Fatal) as caught:
            fetch(fetcher, f"http://mixed.test:{server.port}/")
        assert not server.connections
    assert "10.0.0.1" not in str(caught.value)


def test_the_next_address_is_tried_when_one_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    fetcher = GuardedFetcher((ip_network("127.0.0.0/8"),), "test/1")
    resolving(monkeypatch, ["127.0.0.3", "127.0.0.1"])
    with web_server(lambda _: page()) as server:
        assert fetch(fetcher, f"http://two.test:{server.port}/")[0].status == 200
