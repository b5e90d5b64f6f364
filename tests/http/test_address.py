"""Which address a request is counted under."""

import ipaddress
from typing import Any, cast

import pytest
from litestar.types import Scope

from aicq.http.address import Addresses, subject_of

PROXIES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


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
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:192.0.2.1", ["198.51.100.1"], "192.0.2.1"),
        ("2001:db8::1", [], "2001:db8::1"),
        ("2001:DB8:0:0::1", [], "2001:db8::1"),
        ("fd00::1", ["::ffff:c633:6401"], "198.51.100.1"),
    ],
)
def test_only_a_trusted_proxy_tells_another_address(peer: str, forwarded: list[str], expected: str) -> None:
    assert address(peer, *forwarded) == expected


@pytest.mark.parametrize(
    ("hop", "expected"),
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[198.51.100.1]:1", "198.51.100.1"),
        ("proxy.example:80", "10.0.0.1"),
        (":4711", "10.0.0.1"),
        ("[]:4711", "10.0.0.1"),
    ],
)
def test_a_proxy_may_tell_the_port_as_well(hop: str, expected: str) -> None:
    assert address("10.0.0.1", hop) == expected
    assert address("10.0.0.1", f"203.0.113.9,{hop},10.9.9.9:80") == (expected if expected != "10.0.0.1" else "10.9.9.9")


def test_a_peer_without_an_address_is_nobody() -> None:
    assert address("") == ""
    assert address("/run/aicq.sock") == ""
    assert subject_of("") == ""


def test_an_ipv6_address_counts_as_its_network_and_one_of_ipv4_as_itself() -> None:
    assert subject_of("2001:db8:1:2:3:4:5:6") == subject_of("2001:db8:1:2:ffff::") == "2001:db8:1:2::/64"
    assert subject_of("2001:db8:1:3::") == "2001:db8:1:3::/64"
    assert subject_of("192.0.2.1") == "192.0.2.1"


def test_an_address_is_whitelisted_whichever_socket_it_came_by() -> None:
    addresses = Addresses(trusted=[], whitelist=[ipaddress.ip_network("192.0.2.0/24")])
    scope: Any = {"client": ("::ffff:192.0.2.1", 1), "headers": []}
    assert addresses.is_whitelisted(addresses.of(cast("Scope", scope)))


def test_of_an_ipv6_network_one_address_can_be_whitelisted_alone() -> None:
    addresses = Addresses(trusted=[], whitelist=[ipaddress.ip_network("2001:db8::1/128")])
    assert addresses.is_whitelisted("2001:db8::1")
    assert not addresses.is_whitelisted("2001:db8::2")


def test_who_is_wanted_and_what_others_stand_behind_is_spared() -> None:
    addresses = Addresses(trusted=PROXIES, whitelist=[ipaddress.ip_network("192.0.2.0/24")])
    assert [addresses.is_spared(each) for each in ("192.0.2.1", "10.0.0.1", "", "198.51.100.1")] == [
        True,
        True,
        True,
        False,
    ]
