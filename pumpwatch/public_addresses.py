"""PURE. Which addresses anybody on the internet can reach, and which are inside: of this machine, its network, its provider."""

from __future__ import annotations

import ipaddress
from typing import Final

#: All that is given out of IPv6 so far; beyond it are mapped IPv4 addresses, NAT64, local and reserved ones.
_GIVEN_OUT: Final = ipaddress.ip_network("2000::/3")

#: What (some) Pythons call global and is no server of somebody: it wraps another address, or leads to the nearest machine.
#: Source: IANA, special-purpose address registries for IPv4 and IPv6.
_SPECIAL: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments: the nearest port mapper among them
        "192.88.99.0/24",  # nearest 6to4 relay
        "2001::/23",  # protocol assignments: Teredo among them
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """Whether an address (no name) is one that anybody on the internet can reach; what wraps another one is not."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and (found not in _GIVEN_OUT or found.scope_id is not None):
        return False
    is_special = found.is_multicast or found.is_reserved or any(found in network for network in _SPECIAL)
    return found.is_global and not is_special


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
