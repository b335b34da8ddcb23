"""The two encodings of the stream protocol: messages, and frames of rows whose body many connections share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, NamedTuple

import msgspec

from tickerd_plugins.websocket import frames
from tickerd_plugins.websocket.rows import Flat, json_pieces, msgpack_pieces

JSON, MSGPACK = "tickerd.v1.json", "tickerd.v1.msgpack"
"""The subprotocols."""


class Body(NamedTuple):
    """Rows ready to be sent; all that differs between connections stands before them."""

    rows: int
    data: bytes


@dataclass(frozen=True)
class Encoding:
    """One way to write everything."""

    subprotocol: str
    binary: bool
    pieces: Callable[[Sequence[Flat]], list[bytes]]
    """Rows, each by itself."""
    join: Callable[[Sequence[bytes]], Body]
    """Pieces put together."""
    encode: Callable[[Any], bytes]
    before: Callable[[bytes, int], bytes]
    """From a message that ends with its rows: the part before the body, of a message without them."""

    def frame(self, message: dict[str, Any]) -> bytes:
        """A message as a finished frame."""
        payload = self.encode(message)
        return frames.binary(payload) if self.binary else frames.text(payload)

    def ticks(self, fs: int, body: Body) -> bytes:
        """What stands before these rows in a frame of ticks, header included."""
        head = _json_ticks(fs, body.rows) if not self.binary else _msgpack_ticks(fs, body.rows)
        opcode = frames.BINARY if self.binary else frames.TEXT
        return frames.header(opcode, len(head) + len(body.data)) + head

    def head(self, message: dict[str, Any], body: Body) -> bytes:
        """What stands before these rows in a frame with the message's other members, header included."""
        head = self.before(self.encode(message), body.rows)
        opcode = frames.BINARY if self.binary else frames.TEXT
        return frames.header(opcode, len(head) + len(body.data)) + head


def _json_ticks(fs: int, rows: int) -> bytes:
    return b'{"t":"ticks","fs":%d,"n":%d,"rows":[' % (fs, rows)


def _json_join(pieces: Sequence[bytes]) -> Body:
    if not pieces:
        return Body(0, b"]}")
    return Body(len(pieces), b"[" + b"],[".join(pieces) + b"]]}")


def _json_before(message: bytes, rows: int) -> bytes:
    del rows
    return message[:-1] + b',"rows":['


_ARRAY16, _ARRAY32 = Struct(">BH").pack, Struct(">BI").pack
_MAP16 = Struct(">BH").pack
_TICKS = b"\x84\xa1t\xa5ticks\xa2fs\xcf%b\xa1n\xce%b\xa4rows"
_U64, _U32 = Struct(">Q").pack, Struct(">I").pack


def _array(count: int) -> bytes:
    if count < 16:
        return bytes((0x90 | count,))
    return _ARRAY16(0xDC, count) if count < 65_536 else _ARRAY32(0xDD, count)


def _msgpack_ticks(fs: int, rows: int) -> bytes:
    return _TICKS % (_U64(fs), _U32(rows))


def _msgpack_join(pieces: Sequence[bytes]) -> Body:
    return Body(len(pieces), _array(len(pieces)) + b"".join(pieces))


def _msgpack_before(message: bytes, rows: int) -> bytes:
    """The map gets one member more; messages with rows have fewer than 15."""
    del rows
    return bytes((message[0] + 1,)) + message[1:] + b"\xa4rows"


ENCODINGS = {
    JSON: Encoding(JSON, False, json_pieces, _json_join, msgspec.json.Encoder().encode, _json_before),
    MSGPACK: Encoding(
        MSGPACK, True, msgpack_pieces, _msgpack_join, msgspec.msgpack.Encoder().encode, _msgpack_before
    ),
}
"""By subprotocol."""
