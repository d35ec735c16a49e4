"""Which addresses may be reached."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.adapters.http.addresses import AddressGuard

INSIDE = [
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",  # IPv4-compatible 127.0.0.1
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "2001:db8::1",
    "2002:7f00:1::1",  # 6to4 of 127.0.0.1
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%2",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_global_is_refused(address: str) -> None:
    assert not AddressGuard(()).permits(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00::1", "64:ff9b::808:808", "::ffff:8.8.8.8"],
)
def test_what_is_global_is_permitted_also_through_nat64(address: str) -> None:
    assert AddressGuard(()).permits(address)


def test_what_the_operator_allows_is_permitted_and_no_more() -> None:
    guard = AddressGuard((ip_network("127.0.0.0/8"), ip_network("fd00::/8")))
    assert guard.permits("127.0.0.1")
    assert guard.permits("::ffff:127.0.0.1")
    assert guard.permits("fd00::1")
    assert not guard.permits("::1")
    assert not guard.permits("10.0.0.1")
    assert not guard.permits("2002:7f00:1::1")


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_never_more_reachable_than_itself(address: IPv4Address) -> None:
    number = int(address)
    guard = AddressGuard(())
    faces = [(0xFFFF << 32) | number, (0x64FF9B << 96) | number, number, (0x2002 << 112) | (number << 80)]
    for face in faces:
        assert guard.permits(str(address)) or not guard.permits(str(IPv6Address(face)))
