"""Which names are ours, and which pages may call."""

import pytest

from tickerd.control.hosts import Hosts, Origins


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("LOCALHOST:7801", True),
        ("127.0.0.1:9", True),
        ("[::1]:9", True),
        ("[::1]", True),
        ("192.0.2.7:7801", True),
        ("[2001:db8::7]:7801", True),
        ("ticks.example.com", True),
        ("ticks.example.com.:443", False),
        ("ticks.example.com.", True),
        ("ticks.example.com:443", True),
        ("exact.example.com:7801", True),
        ("exact.example.com:7802", False),
        ("exact.example.com", False),
        ("a.wild.example", True),
        ("a.b.wild.example:1", True),
        ("wild.example", False),
        ("evilwild.example", False),
        ("a.port.example:7801", True),
        ("a.port.example:1", False),
        ("0.0.0.0:7801", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_hosts(host: str, ours: bool) -> None:
    listening = ["127.0.0.1:7801", "192.0.2.7:7801", "[2001:db8::7]:7801", "0.0.0.0:7801", "unix:/run/x.sock"]
    named = ["ticks.example.com", "exact.example.com:7801", "*.wild.example", "*.port.example:7801"]
    assert Hosts(listening, named).accept(host) is ours


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "passes"),
    [
        ("https://page.example", "http", None, True),
        ("HTTPS://PAGE.EXAMPLE", "http", None, True),
        ("https://page.example:8443", "http", None, False),
        ("http://page.example", "http", None, False),
        ("http://localhost:7801", "http", "localhost:7801", True),
        ("https://localhost:7801", "http", "localhost:7801", False),
        ("http://localhost:1", "http", "localhost:7801", False),
        ("http://evil.example", "http", None, False),
        ("null", "http", "localhost", False),
    ],
)
def test_origins(origin: str, scheme: str, host: str | None, passes: bool) -> None:
    assert Origins(["https://page.example"]).accept(origin, scheme, host) is passes
