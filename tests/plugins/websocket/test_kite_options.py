"""The options of the endpoint, and the addresses where it must not be."""

import pytest
from pydantic import ValidationError

from tickerd.plugin import ListenSettings, TlsSettings
from tickerd_plugins.websocket.kite_options import KiteOptions, refusal
from tickerd_plugins.websocket.options import WebsocketOptions

TLS = TlsSettings.model_validate({"cert": "cert.pem", "key": "key.pem"})


@pytest.mark.parametrize(
    ("written", "path"), [("/kite", "/kite"), ("/kite/", "/kite"), ("/", "/"), ("/a/b.c", "/a/b.c")]
)
def test_a_slash_at_the_end_of_the_path_does_not_count(written: str, path: str) -> None:
    assert KiteOptions(path=written).path == path


@pytest.mark.parametrize("path", ["", "kite", "/kite?x", "/a b", "//", "/%20", 5])
def test_what_is_no_path_is_an_error(path: object) -> None:
    with pytest.raises(ValidationError, match="expected a path such as '/kite'"):
        KiteOptions.model_validate({"path": path})


def test_it_may_be_where_only_this_host_reaches_it_or_where_it_is_encrypted() -> None:
    entries = [
        ListenSettings(address="127.0.0.1:7800"),
        ListenSettings(address="[::1]:7800"),
        ListenSettings(address="unix:/run/ticks.sock"),
        ListenSettings(address="0.0.0.0:7800", tls=TLS),
    ]
    assert refusal(entries) is None


@pytest.mark.parametrize("address", ["0.0.0.0:7800", "10.1.2.3:7800", "ticks.example.com:7800", "[::]:7800"])
def test_it_must_not_be_where_others_can_read_the_keys(address: str) -> None:
    entries = [
        ListenSettings(address="127.0.0.1:7800"),
        ListenSettings(address=address, allow_plaintext=True),
    ]
    why = refusal(entries)
    assert why is not None
    assert "needs tls" in why
    assert address not in why
    with pytest.raises(ValidationError, match="needs tls"):
        WebsocketOptions(listen=entries, auth=("keys",), kite_compatible=KiteOptions())
    WebsocketOptions(listen=entries, auth=("keys",))
