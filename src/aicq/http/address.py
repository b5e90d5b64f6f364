"""The address a request is counted under. Only a proxy that the operator trusts may tell another one."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from litestar.types import Scope

from aicq.settings import Network

SITE = 64
"""Bits of an IPv6 address that tell who it is; with the rest its owner has a new address for each request."""


class Addresses:
    """Tells callers' addresses.

    Args:
        trusted: Proxies whose `X-Forwarded-For` is believed.
        whitelist: Addresses whose requests are not limited.
    """

    def __init__(self, *, trusted: Sequence[Network], whitelist: Sequence[Network]) -> None:
        self.is_trusted = lru_cache(maxsize=4096)(lambda address: _within(address, tuple(trusted)))
        self.is_whitelisted = lru_cache(maxsize=4096)(lambda address: _within(address, tuple(whitelist)))

    def of(self, scope: Scope) -> str:
        """The peer's address or, behind trusted proxies, the last address that none of them is; empty if unknown."""
        peer = scope.get("client")
        address = plain(peer[0]) if peer else ""
        if not self.is_trusted(address):
            return address
        hops = [
            plain(_without_port(hop.strip()))
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
            for hop in value.decode("latin-1").split(",")
        ]
        for hop in reversed(hops):
            if not hop:
                break
            address = hop
            if not self.is_trusted(hop):
                break
        return address

    def is_spared(self, address: str) -> bool:
        """Whether an address is never blocked for what comes from it: it is wanted, or others stand behind it."""
        return not address or self.is_whitelisted(address) or self.is_trusted(address)


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """An address in its one spelling, empty if it is none; one of IPv4 as itself, also where IPv6 maps it."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


@lru_cache(maxsize=4096)
def subject_of(address: str) -> str:
    """What an address is counted and blocked under: itself, or the /64 network of an IPv6 address."""
    return str(ipaddress.ip_network(f"{address}/{SITE}", strict=False)) if ":" in address else address


def counted_in(text: str) -> str | None:
    """What an address, or a network that is counted as one, is counted under; None if it is neither."""
    address = plain(text.partition("/")[0])
    if not address:
        return None
    subject = subject_of(address)
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return subject if network.num_addresses == 1 or str(network) == subject else None


def _without_port(hop: str) -> str:
    """The address of a hop; some proxies tell the port as well: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _within(address: str, networks: Sequence[Network]) -> bool:
    if not networks or not address:
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)
