"""Kite's JSON text frames: what the broker pushes beside ticks, and what a client asks for."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tickerd.plugin import AnyRecord, Notice, Order

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def record(
    text: str | bytes, *, source: str | None = None, connection: int | None, ts_recv: int
) -> AnyRecord:
    """One text frame from the broker as a record; anything not understood becomes a `Notice` of kind unknown."""
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        message = {"type": None, "data": str(text[:512])}
    kind, data = message.get("type"), message.get("data")
    if kind == "order" and isinstance(data, dict):
        return Order(source=source, connection=connection, ts_recv=ts_recv, data=data)
    if kind == "error":
        return Notice(source=source, connection=connection, ts_recv=ts_recv, kind="error", data=data)
    if kind == "message":
        return Notice(source=source, connection=connection, ts_recv=ts_recv, kind="message", data=data)
    return Notice(source=source, connection=connection, ts_recv=ts_recv, kind="unknown", data=message)


class Request(NamedTuple):
    """One thing a client asks for over the socket."""

    action: str
    """``subscribe``, ``unsubscribe`` or ``mode``."""
    tokens: tuple[int, ...]
    mode: str | None = None


def subscribe(tokens: Iterable[int]) -> str:
    """The text frame that subscribes; the broker adds its default mode (quote)."""
    return _encode({"a": "subscribe", "v": list(tokens)}).decode()


def unsubscribe(tokens: Iterable[int]) -> str:
    """The text frame that unsubscribes."""
    return _encode({"a": "unsubscribe", "v": list(tokens)}).decode()


def set_mode(mode: str, tokens: Iterable[int]) -> str:
    """The text frame that sets a mode."""
    return _encode({"a": "mode", "v": [mode, list(tokens)]}).decode()


def request(text: str | bytes) -> Request:
    """Read what a client sent, as the broker does: tokens must be JSON numbers, others are left out.

    Raises:
        ValueError: not a request.
    """
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a JSON object: {error}") from None
    action, value = message.get("a"), message.get("v")
    mode: str | None = None
    if action == "mode" and isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        mode, value = value
    if action not in ("subscribe", "unsubscribe", "mode") or not isinstance(value, list):
        raise ValueError("expected a of subscribe, unsubscribe or mode, and v with a list of tokens")
    if action == "mode" and mode not in ("ltp", "quote", "full"):
        raise ValueError("expected a mode of ltp, quote or full")
    tokens = tuple(t for t in value if isinstance(t, int) and not isinstance(t, bool) and 0 <= t < 2**32)
    return Request(action, tokens, mode)
