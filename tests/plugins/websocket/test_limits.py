"""Counting connections: each limit, and that everything counted is forgotten."""

from ipaddress import ip_network

import pytest

from tickerd_plugins.websocket.limits import LOCAL, PROXY, Bounds, Census, forwarded, is_trusted, network

BOUNDS = Bounds(connections=4, per_address=3, unknown_per_address=2, new_per_s=1, new_at_once=100)
PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def test_each_limit_is_told_by_its_name() -> None:
    census = Census(BOUNDS)
    assert census.enter("a", 0) is None
    assert census.enter("a", 0) is None
    verdict = census.enter("a", 0)
    assert verdict is not None
    assert (verdict.limit, verdict.status) == ("unknown_per_address", 429)
    census.known("a")
    assert census.enter("a", 0) is None
    assert census.enter("a", 0).limit == "per_address"  # type: ignore[union-attr]
    assert census.enter("b", 0) is None
    verdict = census.enter("c", 0)
    assert verdict is not None
    assert (verdict.limit, verdict.status) == ("connections", 503)


def test_local_callers_are_not_locked_out_by_a_flood() -> None:
    census = Census(BOUNDS)
    for address in "abcd":
        assert census.enter(address, 0) is None
    for _ in range(4):
        assert census.enter(LOCAL, 0) is None
    assert census.enter(LOCAL, 0) is not None
    assert len(census) == 8


def test_who_leaves_is_forgotten() -> None:
    census = Census(BOUNDS)
    for known in (True, False):
        assert census.enter("a", 0) is None
        if known:
            census.known("a")
        census.leave("a", known=known)
    assert len(census) == 0
    assert not census._unknown
    assert not census._open


def test_a_key_has_so_many_and_is_forgotten_when_none_is_left() -> None:
    census = Census(BOUNDS)
    assert [census.claim("alice", 2) for _ in range(3)] == [True, True, False]
    assert census.claim("bob", 1)
    census.release("alice")
    assert census.claim("alice", 2)
    for key in ("alice", "alice", "bob"):
        census.release(key)
    assert not census._by_key


def test_new_connections_of_an_address_come_at_a_pace() -> None:
    census = Census(
        Bounds(connections=99, per_address=99, unknown_per_address=99, new_per_s=2, new_at_once=3)
    )
    assert [census.enter("a", 0) is None for _ in range(4)] == [True, True, True, False]
    assert census.enter("b", 0) is None
    assert [census.enter("a", 1) is None for _ in range(3)] == [True, True, False]


def test_of_many_addresses_the_oldest_are_forgotten() -> None:
    census = Census(
        Bounds(connections=10**6, per_address=1, unknown_per_address=1, new_per_s=1, new_at_once=1)
    )
    for number in range(10_100):
        assert census.enter(str(number), 0) is None
    assert len(census._pace) == 10_000


def test_a_proxy_counts_as_nobody_until_it_says_for_whom_it_calls() -> None:
    census = Census(BOUNDS)
    assert [census.enter(PROXY, 0) is None for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("nonsense", "nonsense"),
    ],
)
def test_an_ipv6_address_is_counted_by_its_network(address: str, bucket: str) -> None:
    assert network(address) == bucket


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("x", False),
        (None, False),
    ],
)
def test_a_proxy_is_trusted_by_its_address(address: str | None, trusted: bool) -> None:
    assert is_trusted(address, PROXIES) is trusted
    assert not is_trusted(address, ())


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("1.1.1.1, 203.0.113.5, 10.0.0.2", "203.0.113.5"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.5, evil", "10.0.0.1"),
        ("203.0.113.5, evil, 10.0.0.2", "10.0.0.2"),
        ("", "10.0.0.1"),
    ],
)
def test_the_caller_is_the_last_that_no_proxy_of_ours_could_have_made_up(header: str, caller: str) -> None:
    assert forwarded("10.0.0.1", header, PROXIES) == caller
