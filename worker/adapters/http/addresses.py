"""Which addresses may be reached: global ones, and what the operator allows beside them."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

# The only IPv6 block that IANA has given out for global unicast. Whatever an address outside of it
# embeds or reaches (IPv4-compatible ::/96, local NAT64 64:ff9b:1::/48, site-local fec0::/10), it is none.
GLOBAL_UNICAST = IPv6Network("2000::/3")

# Not meant to be reached over the internet (IANA special-purpose address registries, RFC 6890), though
# `is_global` of one or another Python 3.11 to 3.14 says so.
SPECIAL: tuple[Network, ...] = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; a cloud keeps its metadata on 192.0.0.192
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    IPv4Network("168.63.129.16/32"),  # Azure's platform: a public number that only its own guests reach
    IPv6Network("2001::/23"),  # protocol assignments, Teredo (RFC 4380) among them: it embeds an IPv4 one
    IPv6Network("2002::/16"),  # 6to4, which embeds an IPv4 address and is obsolete (RFC 7526)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1: the IPv4 address is in the last 32 bits


class AddressGuard:
    """Decides about addresses, after a name was resolved and before anything is sent."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        """Permit these networks although they are not global."""
        self._allowed = tuple(allowed)

    def permits(self, address: str) -> bool:
        """Whether the address, as the resolver spells it, may be reached."""
        given = ip_address(address)
        reached = _reached(given)
        return _is_public(reached) or any(
            face in network for network in self._allowed for face in (given, reached)
        )


def _reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The host behind an address: an IPv4-mapped and a NAT64 one lead to the IPv4 host that they embed."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    unicast = address.version == 4 or address in GLOBAL_UNICAST  # noqa: PLR2004 - the IP version
    return (
        unicast
        and address.is_global
        and not address.is_multicast
        and not any(address in network for network in SPECIAL)
    )
