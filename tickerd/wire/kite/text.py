"""Kite's JSON text frames: what the broker pushes beside ticks, and what a client asks for."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tickerd.plugin import MODES, AnyRecord, Mode, Notice, Order

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_MODES: dict[str, Mode] = {mode: mode for mode in MODES}
_DIGITS = 10
"""Of the largest token."""


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
    mode: Mode | None = None


def subscribe(tokens: Iterable[int]) -> str:
    """The text frame that subscribes; the broker adds its default mode (quote)."""
    return _encode({"a": "subscribe", "v": list(tokens)}).decode()


def unsubscribe(tokens: Iterable[int]) -> str:
    """The text frame that unsubscribes."""
    return _encode({"a": "unsubscribe", "v": list(tokens)}).decode()


def set_mode(mode: str, tokens: Iterable[int]) -> str:
    """The text frame that sets a mode."""
    return _encode({"a": "mode", "v": [mode, list(tokens)]}).decode()


def request(text: str | bytes, *, numerals: bool = False) -> Request:
    """Read what a client sent, as the broker does: tokens must be JSON numbers, others are left out.

    Args:
        text: the frame.
        numerals: take tokens that are written as strings too, as the JavaScript client's types allow.

    Raises:
        ValueError: not a request.
    """
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a JSON object: {error}") from None
    action, value = message.get("a"), message.get("v")
    mode: Mode | None = None
    if action == "mode" and isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        mode, value = _MODES.get(value[0]), value[1]
    if action not in ("subscribe", "unsubscribe", "mode") or not isinstance(value, list):
        raise ValueError("expected a of subscribe, unsubscribe or mode, and v with a list of tokens")
    if action == "mode" and mode is None:
        raise ValueError("expected a mode of ltp, quote or full")
    numbers = map(_number, value) if numerals else value
    return Request(action, tuple(_tokens(numbers)), mode)


def _tokens(numbers: Iterable[Any]) -> Iterable[int]:
    return (t for t in numbers if isinstance(t, int) and not isinstance(t, bool) and 0 <= t < 2**32)


def _number(value: Any) -> Any:
    """A token that was written as a string, as the number that it is."""
    if isinstance(value, str) and len(value) <= _DIGITS and value.isascii() and value.isdigit():
        return int(value)
    return value


def frame(record: AnyRecord) -> str | None:
    """The text frame with which the broker tells what this record tells; None if it has no word for it.

    Clients in Go end with an error whose data is not a text, and match names whatever their case, so an error's
    data is made a text and nothing but ``type`` and ``data`` is passed on.
    """
    if isinstance(record, Order):
        return _text("order", record.data)
    if not isinstance(record, Notice):
        return None
    if record.kind == "message":
        return _text("message", record.data)
    if record.kind == "error":
        return error(record.data if isinstance(record.data, str) else _encode(record.data).decode())
    kind = record.data.get("type") if isinstance(record.data, dict) else None
    known = not isinstance(kind, str) or kind in ("error", "order")
    return None if known else _text(kind, record.data.get("data"))


def error(text: str) -> str:
    """The text frame that tells a client of an error."""
    return _text("error", text)


def _text(kind: Any, data: Any) -> str:
    return _encode({"type": kind, "data": data}).decode()
