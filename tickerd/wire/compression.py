"""gzip and zstd for what writes and reads files: one import for every Python, and a reader that forgives.

The standard library's zstd where there is one (Python 3.14), else the backport with the same names.
"""

import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Compression = Literal["none", "gzip", "zstd"]

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
SUFFIXES: dict[Compression, str] = {"none": "", "gzip": ".gz", "zstd": ".zst"}
__all__ = [
    "GZIP_MAGIC",
    "PIECE",
    "SUFFIXES",
    "ZSTD_MAGIC",
    "Compression",
    "DamagedError",
    "Decompressor",
    "decompressed",
    "decompressor",
    "kind_of",
    "zstd",
]

PIECE = 2**20
"""Most bytes that one step of a decompressor hands out, however much a few bytes expand to."""


class DamagedError(ValueError):
    """The compressed bytes cannot be read on; what came before has been handed out."""


class Decompressor(Protocol):
    """Undoes one frame (zstd) or member (gzip)."""

    @property
    def eof(self) -> bool:
        """The end of the frame was reached."""
        ...

    @property
    def needs_input(self) -> bool:
        """All that the bytes so far hold has been handed out."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows the frame."""
        ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """What these bytes hold, or the first ``max_length`` bytes of it.

        Raises:
            DamagedError: they do not continue what came before.
        """
        ...


class _Gzip:
    """zlib's decompressor under zstd's names."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        try:
            return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))
        except zlib.error as error:
            raise DamagedError(f"damaged gzip data: {error}") from None


class _Zstd:
    """zstd's decompressor with the one kind of error."""

    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor()

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        try:
            return self._inner.decompress(data, max_length)
        except zstd.ZstdError as error:
            raise DamagedError(f"damaged zstd data: {error}") from None


def kind_of(start: bytes) -> Compression:
    """How a file with these first bytes is compressed."""
    if start.startswith(ZSTD_MAGIC):
        return "zstd"
    return "gzip" if start.startswith(GZIP_MAGIC) else "none"


def decompressor(kind: Literal["gzip", "zstd"]) -> Decompressor:
    """A decompressor for one frame or member."""
    return _Zstd() if kind == "zstd" else _Gzip()


def decompressed(chunks: Iterable[bytes], kind: Compression) -> Iterator[bytes]:
    """Decompress a stream of any number of frames, in pieces of at most `PIECE` bytes.

    A stream that just stops, as that of a file which is still being written, is no error.

    Raises:
        DamagedError: the bytes from here on do not continue what came before.
    """
    if kind == "none":
        yield from chunks
        return
    current = decompressor(kind)
    for chunk in chunks:
        data = chunk
        while data or not (current.eof or current.needs_input):
            if current.eof:
                current = decompressor(kind)
            if out := current.decompress(data, PIECE):
                yield out
            data = current.unused_data if current.eof else b""
