"""What a crash can leave at the end of a file, and where to cut it: pure functions over bytes."""

import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tickerd.wire.compression import GZIP_MAGIC, ZSTD_MAGIC, Compression, DamagedError, decompressor, zstd
from tickerd_plugins.file.encoding import GZIP_HEADER, ZSTD_CLOSING, gzip_closing

_STEP = 2**18
_TAIL = 16 * 2**20
"""Where the last frame of a file is looked for; frames are smaller, else the whole file is looked at."""
_SYNC_MARK = b"\x00\x00\xff\xff"
_LAST_BLOCK = 1


class Cut(NamedTuple):
    """How to mend a file: keep ``length`` bytes and put ``closing`` behind them."""

    length: int
    closing: bytes = b""


Read = Callable[[int, int], bytes]
"""(length, offset) → the bytes there."""


def examine(read: Read, size: int, kind: Compression, start: bytes) -> Cut | None:
    """Where a file of that size is whole, or None when it is not one that this sink has written.

    Args:
        read: reads from the file.
        size: its length, at least 1.
        kind: how it should be compressed.
        start: how its uncompressed text begins (the header of CSV, ``{"`` of JSON).
    """
    if kind == "none":
        return _examine_plain(read, size, start)
    head = read(_STEP, 0)
    magic = ZSTD_MAGIC if kind == "zstd" else GZIP_HEADER
    if not _begins(head, magic if kind == "zstd" else GZIP_MAGIC) or not _begins(_content(head, kind), start):
        return None
    last = _last_good(read, size, max(0, size - _TAIL), kind)
    if last is None and size > _TAIL:
        last = _last_good(read, size, 0, kind)
    if last is None:
        # the very first write did not get through
        last = Cut(0) if _begins(head, magic) and size <= _TAIL else None
    return last


def _begins(data: bytes, start: bytes) -> bool:
    """Whether data begins so, as far as there is any."""
    return data[: len(start)] == start[: len(data)]


def _examine_plain(read: Read, size: int, start: bytes) -> Cut | None:
    if not _begins(read(len(start), 0), start):
        return None
    end = size
    while end > 0:
        begin = max(0, end - _STEP)
        newline = read(end - begin, begin).rfind(b"\n")
        if newline >= 0:
            return Cut(begin + newline + 1)
        end = begin
    return Cut(0)


def _content(head: bytes, kind: Compression) -> bytes:
    """The beginning of the text, as far as these bytes tell."""
    try:
        return decompressor("zstd" if kind == "zstd" else "gzip").decompress(head, 4096)
    except DamagedError:
        return b""


def _last_good(read: Read, size: int, begin: int, kind: Compression) -> Cut | None:
    """Look for the last frame from ``begin`` on that holds something whole; the place after that."""
    data = read(size - begin, begin)
    magic, scan = (ZSTD_MAGIC, _scan_zstd) if kind == "zstd" else (GZIP_HEADER, _scan_gzip)
    at = data.rfind(magic)
    while at >= 0:
        cut = scan(data[at:])
        if cut is not None:
            return Cut(begin + at + cut.length, cut.closing)
        at = data.rfind(magic, 0, at + len(magic) - 1)
    return None


def _scan_zstd(data: bytes) -> Cut | None:
    """The last block, from a frame's beginning on, that ends a line; or the frame's end."""
    frame = zstd.ZstdDecompressor()
    good: Cut | None = None
    ends_line = False
    try:
        for begin, end, last in _zstd_blocks(data):
            out = frame.decompress(data[begin:end])
            ends_line = out.endswith(b"\n") if out else ends_line
            if last and frame.eof:
                return Cut(end)
            if ends_line:
                good = Cut(end, ZSTD_CLOSING)
    except zstd.ZstdError:
        pass
    return good


def _zstd_blocks(data: bytes) -> Iterator[tuple[int, int, bool]]:
    """(begin, end, is the last) of each whole block, the frame's header in the first (RFC 8878, 3.1.1)."""
    if len(data) < len(ZSTD_MAGIC) + 1:
        return
    descriptor = data[4]
    single_segment = descriptor >> 5 & 1
    content_size = (1 if single_segment else 0, 2, 4, 8)[descriptor >> 6]
    begin, at = 0, 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
    checksum = 4 if descriptor >> 2 & 1 else 0
    while at + 3 <= len(data):
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, length = header & _LAST_BLOCK, header >> 1 & 3, header >> 3
        end = at + 3 + (1 if kind == 1 else length) + (checksum if last else 0)
        if kind == 3 or end > len(data):
            return
        yield begin, end, bool(last)
        if last:
            return
        begin = at = end


def _scan_gzip(data: bytes) -> Cut | None:
    """The last flush, from a member's beginning on, that ends a line; or the member's end."""
    member = zlib.decompressobj(wbits=31)
    good: Cut | None = None
    ends_line, crc, length, at = False, 0, 0, 0
    try:
        while at < len(data):
            mark = data.find(_SYNC_MARK, at)
            end = len(data) if mark < 0 else mark + len(_SYNC_MARK)
            out = member.decompress(data[at:end])
            if member.eof:
                return Cut(end - len(member.unused_data))
            crc, length = zlib.crc32(out, crc), length + len(out)
            ends_line = out.endswith(b"\n") if out else ends_line
            closing = gzip_closing(crc, length)
            # the mark can also be ordinary data: only a place where the member can really be closed counts
            if mark >= 0 and ends_line and _closes(member.copy(), closing):
                good = Cut(end, closing)
            at = end
    except zlib.error:
        pass
    return good


def _closes(member: "zlib._Decompress", closing: bytes) -> bool:
    try:
        return not member.decompress(closing) and member.eof
    except zlib.error:
        return False
