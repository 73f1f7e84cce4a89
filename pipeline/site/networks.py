"""Which addresses are on the public internet, by a table of our own: Python's differs from version to version.

Source: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890), as of November 2026, and multicast.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

Address = IPv4Address | IPv6Address

_SPECIAL_V4 = tuple(map(IPv4Network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4",
)))  # fmt: skip
_SPECIAL_V6 = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_GLOBAL = tuple(map(ip_network, (
    "192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:3::/32",
    "2001:4:112::/48", "2001:20::/28", "2001:30::/28",
)))  # fmt: skip
"""Parts of the special networks that the registries call globally reachable."""
_UNICAST = IPv6Network("2000::/3")
"""All global unicast of IPv6; what else is reachable holds an IPv4 address."""
_MAPPED, _NAT64, _6TO4 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"), IPv6Network("2002::/16")


def is_public(address: Address) -> bool:
    """Whether an address is on the public internet; one that holds an IPv4 address is where that is.

    Addresses that only look like IPv4 (::127.0.0.1) or run through strangers' tunnels (Teredo) are not.
    """
    if isinstance(address, IPv4Address):
        special = any(address in network for network in _SPECIAL_V4)
    elif (inner := _inner(address)) is not None:
        return is_public(inner)
    else:
        special = address not in _UNICAST or any(address in network for network in _SPECIAL_V6)
    return not special or any(address in network for network in _GLOBAL)


def _inner(address: IPv6Address) -> IPv4Address | None:
    if address in _MAPPED or address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return IPv4Address(address.packed[2:6]) if address in _6TO4 else None
