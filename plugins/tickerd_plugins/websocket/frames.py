"""Server frames as bytes: finished ones that any number of connections share, and headers for frames sent in parts."""

from struct import Struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
"""Opcodes."""

_FIN = 0x80
_COMPRESSED = 0x40
_SHORT = Struct(">BB").pack
_MEDIUM = Struct(">BBH").pack
_LONG = Struct(">BBQ").pack


def header(opcode: int, length: int, *, compressed: bool = False) -> bytes:
    """What stands before ``length`` bytes of payload in an unfragmented frame of a server."""
    first = _FIN | opcode | (_COMPRESSED if compressed else 0)
    if length < 126:
        return _SHORT(first, length)
    if length < 65_536:
        return _MEDIUM(first, 126, length)
    return _LONG(first, 127, length)


def text(payload: bytes) -> bytes:
    """A finished text frame; the payload is UTF-8."""
    return header(TEXT, len(payload)) + payload


def binary(payload: bytes) -> bytes:
    """A finished binary frame."""
    return header(BINARY, len(payload)) + payload
