"""Whose address counts."""

from ipaddress import ip_network

import pytest

from tickerd.control.forwarded import caller_address, parse
from tickerd.control.peer import Peer

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = Peer(transport="tcp", door="d", address="10.0.0.1", port=1)
STRANGER = Peer(transport="tcp", door="d", address="203.0.113.1", port=1)
LOCAL = Peer(transport="unix", door="unix:/s", uid=0)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        (STRANGER, None, "203.0.113.1"),
        (STRANGER, "1.2.3.4", "203.0.113.1"),
        (STRANGER, "10.0.0.1", "203.0.113.1"),
        (PROXY, None, "10.0.0.1"),
        (PROXY, "", "10.0.0.1"),
        (PROXY, "1.2.3.4", "1.2.3.4"),
        (PROXY, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (PROXY, "6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        (PROXY, "1.2.3.4, fd00::5", "1.2.3.4"),
        (PROXY, "10.1.1.1,10.2.2.2", "10.1.1.1"),
        (PROXY, "1.2.3.4, garbage", "10.0.0.1"),
        (PROXY, "1.2.3.4, garbage, 10.3.3.3", "10.3.3.3"),
        (PROXY, "1.2.3.4,,", "10.0.0.1"),
        (PROXY, "[2001:db8::7]:4711", "2001:db8::7"),
        (PROXY, '"1.2.3.4:80"', "1.2.3.4"),
        (PROXY, "::ffff:1.2.3.4", "1.2.3.4"),
        (PROXY, ", ".join(["1.2.3.4"] * 49 + ["10.7.7.7"]), "1.2.3.4"),
        (PROXY, ", ".join(["1.2.3.4"] + ["10.7.7.7"] * 50), "10.7.7.7"),
        (LOCAL, None, None),
        (LOCAL, "1.2.3.4", "1.2.3.4"),
        (LOCAL, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (LOCAL, "garbage", None),
    ],
)
def test_the_rightmost_address_that_is_not_trusted_counts(
    peer: Peer, forwarded: str | None, expected: str | None
) -> None:
    assert caller_address(peer, forwarded, TRUSTED) == expected


def test_without_trusted_proxies_only_the_peer_counts() -> None:
    assert caller_address(PROXY, "1.2.3.4", []) == "10.0.0.1"


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1.2.3.4.5", "[", "::1::2", "1.2.3.4:5:6", "_hidden", "unknown"]
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse(text) is None
