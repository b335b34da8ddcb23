"""Which text of the query is the credential."""

import pytest

from tickerd_plugins.websocket.kite_query import credential

KEY = "tkd_live_3kTMd5lGqkYh_0123456789"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"api_key=app&access_token={KEY}", KEY),
        (f"access_token={KEY}&api_key=app", KEY),
        (f"api_key=app&access_token={KEY}&uid=1795432168910", KEY),
        (f"api_key={KEY}&access_token=whatever", KEY),
        (f"api_key={KEY}&access_token=", KEY),
        (f"api_key={KEY}", KEY),
        (f"access_token={KEY}", KEY),
        ("api_key=app&access_token=other", "other"),
        (f"api_key={KEY}&access_token={KEY}2", f"{KEY}2"),
        ("api_key=app", "app"),
        ("access_token=a+b/c=d", "a+b/c=d"),
        ("access_token=a%2Bb%2Fc%3Dd", "a+b/c=d"),
        ("access_token=%FF", "\ufffd"),
        ("v=3", None),
        ("", None),
        ("&&=&access_token", None),
        ("access_token=" + "x" * 5000, None),
    ],
)
def test_it_is_found_as_the_clients_send_it(query: str, found: str | None) -> None:
    assert credential(query) == found
