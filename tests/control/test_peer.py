"""Who is at the other end."""

import pytest

from tickerd.control.peer import Peer, network


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("nonsense", "nonsense"),
    ],
)
def test_addresses_are_counted_by_network(address: str, expected: str) -> None:
    assert network(address) == expected


def test_names_are_for_logs() -> None:
    assert Peer(transport="tcp", door="d", address="192.0.2.1", port=5).name == "192.0.2.1:5"
    assert Peer(transport="tcp", door="d", address="::1", port=5).name == "[::1]:5"
    assert Peer(transport="unix", door="unix:/s", uid=1000).name == "unix:/s uid 1000"
