"""Names that the server answers to."""

import pytest

from tickerd_plugins.websocket.hosts import Hosts

HOSTS = Hosts(
    ["192.0.2.7:7800", "0.0.0.0:1", "unix:/x", "Box.lan:2"], ("ticks.example.com", "*.lan:7800", "a:1")
)


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("localhost", True),
        ("localhost:9", True),
        ("127.0.0.1:7800", True),
        ("[::1]", True),
        ("192.0.2.7", True),
        ("0.0.0.0", False),
        ("BOX.LAN:2", True),
        ("box.lan.", True),
        ("ticks.example.com:443", True),
        ("x.lan:7800", True),
        ("x.lan:7801", False),
        ("lan:7800", False),
        ("a:1", True),
        ("a:2", False),
        ("evil.example", False),
        ("", False),
    ],
)
def test_only_names_of_ours_are_answered_to(host: str, accepted: bool) -> None:
    assert HOSTS.accept(host) is accepted
