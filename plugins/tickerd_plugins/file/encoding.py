"""How lines become bytes of a file that is complete and readable after every single write.

A compressed file always ends in a closing that ends its last frame. The next write puts its blocks over that
closing and a new one behind them, so that the frame goes on and small writes still compress well, while any
tool can read the file at any time. A frame ends after `FRAME` bytes and when the file is closed.
"""

import zlib
from typing import NamedTuple, Protocol

from tickerd.wire.compression import Compression, zstd

FRAME = 4 * 2**20
"""Uncompressed bytes after which a new frame begins: what the repair of a torn file looks at, at most."""

ZSTD_CLOSING = b"\x01\x00\x00"
"""An empty raw block with the mark of the last one: ends a frame that stands at the end of a block."""
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
GZIP_LEVEL = 4
ZSTD_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.window_log: 18,
}
"""256 KiB of window: a compressor takes well below 1 MB, and many files may be open."""


class Piece(NamedTuple):
    """One write."""

    body: bytes
    closing: bytes
    """Ends the file after the body; the next write goes over it, unless that begins a frame."""
    fresh: bool
    """It begins a frame, so it goes behind the closing that is there."""


class Encoder(Protocol):
    """What a file's lines pass through; keeps the state of one frame."""

    def encode(self, lines: bytes) -> Piece:
        """The next write."""
        ...

    def reset(self) -> None:
        """Begin a frame with the next write, because the last one did not reach the file."""
        ...


class Plain:
    """No compression."""

    def encode(self, lines: bytes) -> Piece:
        """See `Encoder`."""
        return Piece(lines, b"", fresh=False)

    def reset(self) -> None:
        """See `Encoder`."""


class Gzip:
    """Members of about `FRAME` bytes, flushed to a byte boundary after each write."""

    def __init__(self) -> None:
        self._used = FRAME

    def encode(self, lines: bytes) -> Piece:
        """See `Encoder`."""
        fresh = self._used >= FRAME
        if fresh:
            self._deflate = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
            self._used = self._crc = 0
        self._used += len(lines)
        self._crc = zlib.crc32(lines, self._crc)
        body = self._deflate.compress(lines) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return Piece(GZIP_HEADER + body if fresh else body, gzip_closing(self._crc, self._used), fresh)

    def reset(self) -> None:
        """See `Encoder`."""
        self._used = FRAME


def gzip_closing(crc: int, length: int) -> bytes:
    """An empty last block and the trailer: ends a member whose content has this checksum and length."""
    return b"\x03\x00" + crc.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little")


class Zstd:
    """Frames of about `FRAME` bytes, a block boundary after each write."""

    def __init__(self) -> None:
        self._used = FRAME

    def encode(self, lines: bytes) -> Piece:
        """See `Encoder`."""
        fresh = self._used >= FRAME
        if fresh:
            self._compressor = zstd.ZstdCompressor(options=ZSTD_OPTIONS)
            self._used = 0
        self._used += len(lines)
        body = self._compressor.compress(lines, zstd.ZstdCompressor.FLUSH_BLOCK)
        return Piece(body, ZSTD_CLOSING, fresh)

    def reset(self) -> None:
        """See `Encoder`."""
        self._used = FRAME


def encoder(kind: Compression) -> Encoder:
    """A new encoder, for one open file."""
    return Plain() if kind == "none" else Gzip() if kind == "gzip" else Zstd()
