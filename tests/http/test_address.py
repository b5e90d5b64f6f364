"""Which address a request is counted under."""

import ipaddress
from typing import Any, cast

import pytest
from litestar.types import Scope

from aicq.http.address import Addresses

PROXIES = [ipaddress.ip_network("10.0.0.0/8")]


def address(peer: str, *forwarded: str) -> str:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope: Any = {"client": (peer, 1), "headers": headers}
    return Addresses(trusted=PROXIES, whitelist=[]).of(cast("Scope", scope))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("2001:db8::1", [], "2001:db8::1"),
    ],
)
def test_only_a_trusted_proxy_tells_another_address(peer: str, forwarded: list[str], expected: str) -> None:
    assert address(peer, *forwarded) == expected


def test_an_address_is_whitelisted_whichever_socket_it_came_by() -> None:
    addresses = Addresses(trusted=[], whitelist=[ipaddress.ip_network("192.0.2.0/24")])
    scope: Any = {"client": ("::ffff:192.0.2.1", 1), "headers": []}
    assert addresses.is_whitelisted(addresses.of(cast("Scope", scope)))
