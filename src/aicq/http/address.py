"""The address a request is counted under. Only a proxy that the operator trusts may tell another one."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from litestar.types import Scope

from aicq.settings import Network

MAPPED = "::ffff:"


class Addresses:
    """Tells callers' addresses.

    Args:
        trusted: Proxies whose `X-Forwarded-For` is believed.
        whitelist: Addresses whose requests are not limited.
    """

    def __init__(self, *, trusted: Sequence[Network], whitelist: Sequence[Network]) -> None:
        self._trusted = tuple(trusted)
        self.is_whitelisted = lru_cache(maxsize=4096)(lambda address: _within(address, tuple(whitelist)))

    def of(self, scope: Scope) -> str:
        """The peer's address or, behind trusted proxies, the last address that none of them is."""
        peer = scope.get("client")
        address = _plain(peer[0]) if peer else ""
        if not self._trusted or not _within(address, self._trusted):
            return address
        hops = [
            _plain(hop.strip())
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
            for hop in value.decode("latin-1").split(",")
        ]
        for hop in reversed(hops):
            if not _is_address(hop):
                break
            address = hop
            if not _within(hop, self._trusted):
                break
        return address


def _plain(address: str) -> str:
    """The address; one of IPv4 as itself, also where a socket that serves IPv6 as well tells it as `::ffff:…`."""
    return address[len(MAPPED) :] if address.startswith(MAPPED) and "." in address else address


def _within(address: str, networks: Sequence[Network]) -> bool:
    if not networks or not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
