"""Compressed segments: independent zstd frames of 1 MiB each, and a table of them at the end.

The table is that of zstd's seekable format, which lies in a skippable frame: ``zstd -d`` gives the segment.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from struct import Struct
from typing import NamedTuple

from tickerd.journal.scan import ReadAt
from tickerd.wire.compression import ZSTD_MAGIC, zstd

BLOCK = 2**20
"""Bytes of a segment in one frame; the last one may be shorter."""
LEVEL = 3

_SKIPPABLE = Struct("<II")
_TABLE_MAGIC = 0x184D2A5E
_SIZES = Struct("<II")
_FOOTER = Struct("<IBI")
_FOOTER_MAGIC = 0x8F92EAB1
_LARGEST = BLOCK + BLOCK // 128 + 1024
"""Bytes that a frame may have at most: what cannot be compressed grows a little."""


class Block(NamedTuple):
    """One frame. Offsets and sizes in bytes."""

    start: int
    """In the compressed file."""
    length: int
    offset: int
    """In the segment."""
    size: int


def pack_block(data: bytes, level: int = LEVEL) -> bytes:
    """One block as a frame with its size and a checksum."""
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: level,
        zstd.CompressionParameter.checksum_flag: 1,
    }
    return zstd.compress(data, options=options)


def pack_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """The end of the file, from the (compressed, uncompressed) size of each frame."""
    body = b"".join(_SIZES.pack(*pair) for pair in sizes) + _FOOTER.pack(len(sizes), 0, _FOOTER_MAGIC)
    return _SKIPPABLE.pack(_TABLE_MAGIC, len(body)) + body


def read_table(read_at: ReadAt, size: int) -> list[Block] | None:
    """The frames of a compressed file of that size; None when its table is not one that fits it."""
    footer = read_at(_FOOTER.size, max(size - _FOOTER.size, 0))
    if len(footer) < _FOOTER.size:
        return None
    count, descriptor, magic = _FOOTER.unpack(footer)
    length = _SKIPPABLE.size + count * _SIZES.size + _FOOTER.size
    if magic != _FOOTER_MAGIC or descriptor or length > size:
        return None
    table = read_at(length, size - length)
    if len(table) < length or _SKIPPABLE.unpack_from(table) != (_TABLE_MAGIC, length - _SKIPPABLE.size):
        return None
    sizes = list(_SIZES.iter_unpack(table[_SKIPPABLE.size : -_FOOTER.size]))
    blocks = _blocks(sizes)
    whole = sum(packed for packed, _ in sizes) == size - length
    return blocks if whole and all(0 < block.size <= BLOCK for block in blocks) else None


def _blocks(sizes: Sequence[tuple[int, int]]) -> list[Block]:
    starts = accumulate((packed for packed, _ in sizes), initial=0)
    offsets = accumulate((plain for _, plain in sizes), initial=0)
    return [
        Block(start, packed, offset, plain)
        for (packed, plain), start, offset in zip(sizes, starts, offsets, strict=False)
    ]


def find_blocks(read_at: ReadAt, size: int) -> list[Block]:
    """The frames of a compressed file whose table is lost, found by looking for where they begin.

    A frame that cannot be found is left out, which moves what follows to smaller offsets: records are found by
    their marks, so nothing is misread.
    """
    found: list[Block] = []
    start = offset = 0
    while start < size:
        data = read_at(_LARGEST, start)
        block = _frame(data)
        if block is None:
            place = data.find(ZSTD_MAGIC, 1)
            start += place if place > 0 else max(len(data) - len(ZSTD_MAGIC) + 1, 1)
            continue
        length, plain = block
        found.append(Block(start, length, offset, plain))
        start, offset = start + length, offset + plain
    return found


def _frame(data: bytes) -> tuple[int, int] | None:
    """(compressed, uncompressed) size of the frame that these bytes begin with, if it is one of ours."""
    if not data.startswith(ZSTD_MAGIC):
        return None
    try:
        length, plain = zstd.get_frame_size(data), zstd.get_frame_info(data).decompressed_size
    except zstd.ZstdError:
        return None
    return (length, plain) if 0 < (plain or 0) <= BLOCK else None


class BlockReader:
    """Reads a segment through its blocks. Keeps the last two that it read.

    A block that is damaged reads as zeros, in which no record is found.
    """

    def __init__(self, read_at: ReadAt, blocks: Sequence[Block]) -> None:
        self.size = sum(block.size for block in blocks)
        self.damaged: set[int] = set()
        """Offsets, in the segment, of blocks that could not be read."""
        self._read_at = read_at
        self._blocks = blocks
        self._offsets = [block.offset for block in blocks]
        self._cache: dict[int, bytes] = {}

    def read_at(self, size: int, offset: int) -> bytes:
        """At most so many bytes of the segment from there; fewer only at its end."""
        end = min(offset + size, self.size)
        if offset >= end:
            return b""
        parts = []
        place = bisect_right(self._offsets, offset) - 1
        while offset < end:
            block = self._blocks[place]
            data = self._block(place)
            part = data[offset - block.offset : end - block.offset]
            parts.append(part)
            offset, place = offset + len(part), place + 1
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _block(self, place: int) -> bytes:
        found = self._cache.pop(place, None)
        if found is None:
            found = self._unpack(self._blocks[place])
        self._cache[place] = found
        if len(self._cache) > 2:
            del self._cache[next(iter(self._cache))]
        return found

    def _unpack(self, block: Block) -> bytes:
        try:
            data = zstd.ZstdDecompressor().decompress(self._read_at(block.length, block.start), BLOCK + 1)
        except zstd.ZstdError:
            data = b""
        if len(data) != block.size:
            self.damaged.add(block.offset)
            return bytes(block.size)
        return data


def packed(chunks: Iterator[bytes], level: int, stop: Callable[[], bool]) -> Iterator[bytes]:
    """A compressed file from the blocks of a segment.

    Raises:
        InterruptedError: ``stop`` said so between two blocks.
    """
    sizes = []
    for chunk in chunks:
        if stop():
            raise InterruptedError("compression was stopped")
        frame = pack_block(chunk, level)
        sizes.append((len(frame), len(chunk)))
        yield frame
    yield pack_table(sizes)
