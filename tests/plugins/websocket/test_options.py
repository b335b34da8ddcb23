"""Options of the sink."""

import pytest
from pydantic import ValidationError

from tickerd_plugins.websocket.options import WebsocketOptions


def test_one_address_is_enough() -> None:
    options = WebsocketOptions.model_validate({"listen": "127.0.0.1:7800"})
    assert [entry.address for entry in options.listen] == ["127.0.0.1:7800"]
    assert options.kite_compatible is None


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"listen": []},
        {"listen": "127.0.0.1:1", "path": "no-slash"},
        {"listen": "127.0.0.1:1", "heartbeat": "100ms"},
        {"listen": "127.0.0.1:1", "stream": {"overflow": "conflate"}},
        {"listen": "127.0.0.1:1", "limits": {"connections": 0}},
        {"listen": {"address": "0.0.0.0:1", "allow_plaintext": True}, "kite_compatible": {}},
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WebsocketOptions.model_validate(given)
