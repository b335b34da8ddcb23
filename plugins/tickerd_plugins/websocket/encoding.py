"""The two encodings of the stream protocol: messages, and frames of rows whose body many connections share."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any

import msgspec

from tickerd_plugins.websocket import frames
from tickerd_plugins.websocket.rows import Flat, json_pieces, msgpack_pieces

JSON, MSGPACK = "tickerd.v1.json", "tickerd.v1.msgpack"
"""The subprotocols."""
COMPRESS_FROM = 1024
"""Bytes from which on compressing is worth it."""


class Body:
    """Rows ready to be sent, compressed at most once; all that differs between connections stands before them."""

    __slots__ = ("_deflated", "data", "rows")

    def __init__(self, rows: int, data: bytes) -> None:
        self.rows = rows
        self.data = data
        self._deflated: bytes | None = None

    @property
    def deflated(self) -> bytes:
        """Compressed, to stand behind a block that was not; made at the first use."""
        if self._deflated is None:
            self._deflated = deflate(self.data)
        return self._deflated


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
    _ticks: Callable[[int, int], bytes]
    _before: Callable[[bytes], bytes]

    def frame(self, message: dict[str, Any]) -> bytes:
        """A message as a finished frame."""
        payload = self.encode(message)
        return frames.binary(payload) if self.binary else frames.text(payload)

    def ticks(self, fs: int, body: Body, *, compress: bool = False) -> tuple[bytes, bytes]:
        """A finished frame of ticks in two parts, of which the second is shared."""
        return self._parts(self._ticks(fs, body.rows), body, compress=compress)

    def rows(self, message: dict[str, Any], body: Body, *, compress: bool = False) -> tuple[bytes, bytes]:
        """A finished frame of a message with rows behind its other members, likewise."""
        return self._parts(self._before(self.encode(message)), body, compress=compress)

    def _parts(self, head: bytes, body: Body, *, compress: bool) -> tuple[bytes, bytes]:
        opcode = frames.BINARY if self.binary else frames.TEXT
        if not compress or len(body.data) < COMPRESS_FROM:
            return frames.header(opcode, len(head) + len(body.data)) + head, body.data
        head, data = stored(head), body.deflated
        return frames.header(opcode, len(head) + len(data), compressed=True) + head, data


def stored(data: bytes) -> bytes:
    """A block of a deflate stream that is not compressed; at most 65,535 bytes."""
    return b"\0" + len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data


def deflate(data: bytes) -> bytes:
    """The last blocks of a deflate stream, as a WebSocket frame ends with them. They refer to nothing before them."""
    packer = zlib.compressobj(level=1, wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]


def _json_ticks(fs: int, rows: int) -> bytes:
    return b'{"t":"ticks","fs":%d,"n":%d,"rows":[' % (fs, rows)


def _json_join(pieces: Sequence[bytes]) -> Body:
    if not pieces:
        return Body(0, b"]}")
    return Body(len(pieces), b"[" + b"],[".join(pieces) + b"]]}")


def _json_before(message: bytes) -> bytes:
    """From a whole message to one that goes on with its rows."""
    return message[:-1] + b',"rows":['


_ARRAY16, _ARRAY32 = Struct(">BH").pack, Struct(">BI").pack
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


def _msgpack_before(message: bytes) -> bytes:
    """The same: the map gets one member more; messages with rows have fewer than 15."""
    return bytes((message[0] + 1,)) + message[1:] + b"\xa4rows"


ENCODINGS = {
    JSON: Encoding(
        JSON, False, json_pieces, _json_join, msgspec.json.Encoder().encode, _json_ticks, _json_before
    ),
    MSGPACK: Encoding(
        MSGPACK,
        True,
        msgpack_pieces,
        _msgpack_join,
        msgspec.msgpack.Encoder().encode,
        _msgpack_ticks,
        _msgpack_before,
    ),
}
"""By subprotocol."""
