"""Which pages may call."""

import pytest

from tickerd.control.origins import Origins


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
