"""The record of a dead letter, for whoever shows it."""

from collections.abc import Callable
from typing import Any

import msgspec

_DECODERS: dict[str, Callable[[bytes], Any]] = {
    "json": msgspec.json.decode,
    "msgpack": msgspec.msgpack.decode,
}


def decoded(payload: bytes | None, form: str) -> Any:
    """What was kept of it, as JSON can say it; in hex when it cannot be decoded, None when nothing was kept."""
    if payload is None:
        return None
    try:
        # bytes inside are not for JSON either
        return msgspec.to_builtins(_DECODERS[form](payload), str_keys=True)
    except (KeyError, ValueError):
        return payload.hex()
