"""Keys of a running daemon; those of a state directory are tried with the command."""

import json
from typing import Any

import pytest

from tickerd.cli.client import ApiError, Client
from tickerd.cli.keystore import DaemonKeys, KeyStore, key_store
from tickerd.state.keys import NewKey


@pytest.fixture
def keys(fake_api: Any) -> KeyStore:
    return key_store(Client(f"unix:{fake_api.socket}"))


def test_it_is_that_of_the_daemon(keys: KeyStore) -> None:
    assert isinstance(keys, DaemonKeys)


def test_a_key_is_made_with_all_that_was_said(keys: KeyStore, fake_api: Any) -> None:
    fake_api.answers["/v1/keys"] = (201, {"key": "tkd_live_…"})
    new = NewKey.model_validate(
        {
            "label": "a",
            "scopes": ["ticks:read"],
            "expires_in": "90 days",
            "limits": {"rates": {"reads": "1/second"}},
        }
    )
    assert keys.create(new) == {"key": "tkd_live_…"}
    sent = json.loads(fake_api.asked[0][3])
    assert (sent["expires_in"], sent["limits"]["rates"]) == ("90 days", {"reads": "1/second"})
    assert NewKey.model_validate(sent) == new


def test_all_are_listed_the_oldest_first(keys: KeyStore, fake_api: Any) -> None:
    items = [{"id": "b", "created_ns": 2}, {"id": "c", "created_ns": 1}]
    fake_api.answers["/v1/keys"] = (200, {"items": items, "next": None})
    assert [key["id"] for key in keys.every(ended=True)] == ["c", "b"]
    assert fake_api.asked[0][1] == "/v1/keys?limit=1000&all=true"


@pytest.mark.parametrize(("overlap_s", "sent"), [(0.0, 0), (3600.0, "3600.000s"), (0.5, "0.500s")])
def test_a_successor_is_made_with_the_overlap(
    keys: KeyStore, fake_api: Any, overlap_s: float, sent: Any
) -> None:
    fake_api.answers["/v1/keys/x/rotate"] = (201, {"id": "y"})
    assert keys.rotate("x", overlap_s) == {"id": "y"}
    assert json.loads(fake_api.asked[0][3]) == {"overlap": sent}


def test_what_the_daemon_refuses_is_told_in_its_words(keys: KeyStore, fake_api: Any) -> None:
    fake_api.answers["/v1/keys/x"] = (
        404,
        {"type": "t", "title": "not found", "status": 404, "detail": "there is no key 'x'"},
    )
    with pytest.raises(ApiError, match="not found: there is no key 'x'"):
        keys.revoke("x")
    fake_api.answers["/v1/keys/x"] = (200, {"id": "x"})
    assert keys.revoke("x") == {"id": "x"}
    assert fake_api.asked[-1][0] == "DELETE"
