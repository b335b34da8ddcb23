"""Which names are ours."""

import pytest

from tickerd.plugin import Hosts


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("LOCALHOST:7801", True),
        ("127.0.0.1:9", True),
        ("[::1]:9", True),
        ("[::1]", True),
        ("192.0.2.7", True),
        ("192.0.2.7:7801", True),
        ("[2001:db8::7]:7801", True),
        ("BOX.LAN:2", True),
        ("box.lan.", True),
        ("ticks.example.com", True),
        ("ticks.example.com.", True),
        ("ticks.example.com.:443", True),
        ("ticks.example.com:443", True),
        ("exact.example.com:7801", True),
        ("exact.example.com.:7801", True),
        ("exact.example.com:7802", False),
        ("exact.example.com", False),
        ("a.wild.example", True),
        ("a.b.wild.example:1", True),
        ("wild.example", False),
        (".wild.example", False),
        ("evilwild.example", False),
        ("a.port.example:7801", True),
        ("a.port.example:1", False),
        ("a.port.example", False),
        ("0.0.0.0:7801", False),
        ("[::]:7801", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("unix", False),
        ("", False),
    ],
)
def test_only_names_of_ours_are_answered_to(host: str, ours: bool) -> None:
    listening = ["127.0.0.1:7801", "192.0.2.7:7801", "[2001:db8::7]:7801", "0.0.0.0:7801", "[::]:7801"]
    named = ["ticks.example.com", "exact.example.com:7801", "*.Wild.example", "*.port.example:7801"]
    assert Hosts([*listening, "Box.lan:2", "unix:/run/x.sock"], named).accept(host) is ours
