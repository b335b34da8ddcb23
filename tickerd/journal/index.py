"""The sparse index beside a segment: where to begin reading for a position or a time, and what to read before.

It is a hint that never has to be trusted: each entry's CRC covers all before it, and what does not agree with
the segment is made again by a scan. Offsets are those of the uncompressed segment, so compressing one does
not touch its index.
"""

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from tickerd.journal.files import Files
from tickerd.journal.format import MAGIC as SEGMENT_MAGIC
from tickerd.journal.format import Extent, Kind, extent, kind_of
from tickerd.journal.segment import COMPRESSED, SUFFIX, Header

MAGIC = b"tickerd index 1\n"
INDEX = ".idx"
TEMPORARY = ".tmp"
"""Ends the names of files that are not complete; they are deleted at start."""
SPACING = 2**18
"""Bytes of the segment between two places where reading can begin."""

_POINT, _NAMING, _END = 1, 2, 3
_HEAD = Struct(">QQI")
_ENTRY = Struct(">QQqB3xI")
_BODY = _ENTRY.size - 4
_START = len(MAGIC) + _HEAD.size
_NAMES = frozenset((Kind.HEADER, Kind.NAMES, Kind.INSTRUMENTS))


def index_path(segment: Path) -> Path:
    """Where a segment's index lies, whether the segment is compressed or not."""
    stem = segment.name.removesuffix(COMPRESSED).removesuffix(SUFFIX)
    return segment.with_name(stem + INDEX)


class Point(NamedTuple):
    """A place where reading can begin."""

    offset: int
    seq: int
    """Of the first tick or record that stands there."""
    before_ns: int
    """The newest ``ts_recv`` of everything before it."""


class End(NamedTuple):
    """What a segment that is complete holds."""

    size: int
    """Bytes, uncompressed."""
    last_seq: int
    """0 when it holds no tick and no record."""
    newest_ns: int
    """The newest ``ts_recv`` in it."""


@dataclass(frozen=True, slots=True)
class Index:
    """One segment's index, as far as it goes."""

    points: Sequence[Point]
    naming: Sequence[int]
    """Offsets of the records that name something; a reader that begins at a point needs those before it."""
    end: End | None
    """None while the segment is open, or when its writer did not come to close it."""

    def seek(self, seq: int) -> Point | None:
        """The last place before which everything has a smaller ``seq``; None: the beginning."""
        return self._at(bisect_right(self.points, seq, key=lambda point: point.seq))

    def seek_ns(self, ns: int) -> Point | None:
        """The last place before which everything is older than that; None: the beginning."""
        return self._at(bisect_left(self.points, ns, key=lambda point: point.before_ns))

    def _at(self, place: int) -> Point | None:
        return self.points[place - 1] if place else None

    def names_before(self, offset: int) -> Sequence[int]:
        """What has to be read before reading can begin there."""
        return self.naming[: bisect_left(self.naming, offset)]


class IndexBuilder:
    """Makes an index's bytes from the records of a segment, in their order."""

    def __init__(self, header: Header) -> None:
        head = _HEAD.pack(header.epoch, header.seq, 0)
        self._crc = zlib.crc32(head)
        self._out: list[bytes] = [MAGIC, _HEAD.pack(header.epoch, header.seq, self._crc)]
        self._next_point = 0
        self._last_seq = 0
        self._newest_ns = 0

    def add(self, kind: int, offset: int, covers: Extent | None) -> None:
        """The next record of the segment."""
        if kind in _NAMES:
            self._entry(_NAMING, offset, 0, 0)
        if covers is None:
            return
        if offset >= self._next_point:
            self._entry(_POINT, offset, covers.seq, self._newest_ns)
            self._next_point = offset + SPACING
        self._last_seq = max(self._last_seq, covers.last)
        self._newest_ns = max(self._newest_ns, covers.ts_ns)

    def end(self, size: int) -> End:
        """The segment is complete, at this size."""
        self._entry(_END, size, self._last_seq, self._newest_ns)
        return End(size, self._last_seq, self._newest_ns)

    def take(self) -> list[bytes]:
        """The bytes since the last time."""
        out, self._out = self._out, []
        return out

    def _entry(self, kind: int, offset: int, seq: int, ns: int) -> None:
        body = _ENTRY.pack(offset, seq, ns, kind, 0)[:_BODY]
        self._crc = zlib.crc32(body, self._crc)
        self._out.append(body + self._crc.to_bytes(4, "big"))


def parse(data: bytes, epoch: int, seq: int, size: int) -> Index | None:
    """An index file's bytes; None when they are not those of a segment with that name and size.

    Args:
        data: of the whole file. An entry that is not whole at its end is left out: it is being written.
        epoch: in the segment's name.
        seq: in the segment's name.
        size: of the segment, uncompressed.
    """
    if not data.startswith(MAGIC) or len(data) < _START:
        return None
    *owner, crc = _HEAD.unpack_from(data, len(MAGIC))
    if owner != [epoch, seq] or crc != zlib.crc32(_HEAD.pack(epoch, seq, 0)):
        return None
    points: list[Point] = []
    naming: list[int] = []
    end: End | None = None
    whole = (len(data) - _START) // _ENTRY.size * _ENTRY.size
    for start in range(_START, _START + whole, _ENTRY.size):
        offset, at, ns, kind, told = _ENTRY.unpack_from(data, start)
        crc = zlib.crc32(data[start : start + _BODY], crc)
        if crc != told or offset > size or end is not None:
            return None
        if kind == _POINT:
            points.append(Point(offset, at, ns))
        elif kind == _NAMING:
            naming.append(offset)
        else:
            end = End(offset, at, ns)
    if end is not None and end.size != size:
        return None
    return Index(points, naming, end)


class IndexWriter:
    """Keeps the index of the segment that is being written. For the writing thread alone; never raises ``OSError``.

    An index that cannot be written is given up and deleted: it is made again from the segment when somebody
    needs it.
    """

    def __init__(self, segment: Path, header: Header, files: Files) -> None:
        self._path = index_path(segment)
        self._files = files
        self._builder: IndexBuilder | None = IndexBuilder(header)
        self._file: int | None = None
        self._pending: list[tuple[int, int, Extent | None]] = []

    def add(self, offset: int, buffers: Sequence[bytes]) -> None:
        """What will stand in the segment from this offset on, as the segment's `Encoder` gave it."""
        start = 0
        if buffers and buffers[0] == SEGMENT_MAGIC:
            offset, start = offset + len(SEGMENT_MAGIC), 1
        for head, payload in zip(buffers[start::2], buffers[start + 1 :: 2], strict=True):
            kind = kind_of(head)
            self._pending.append((kind, offset, extent(kind, payload)))
            offset += len(head) + len(payload)

    def flush(self) -> None:
        """Everything that was added is in the segment now."""
        pending, self._pending = self._pending, []
        if self._builder is None:
            return
        for kind, offset, covers in pending:
            self._builder.add(kind, offset, covers)
        self._write(self._builder)

    def close(self, size: int) -> None:
        """The segment is complete, with what was flushed, at this size."""
        self._pending = []
        if self._builder is not None:
            self._builder.end(size)
            self._write(self._builder)
        self._release()

    def _write(self, builder: IndexBuilder) -> None:
        buffers = builder.take()
        if not buffers:
            return
        try:
            if self._file is None:
                self._files.remove(self._path)
                self._file = self._files.open_append(self._path)
            self._files.writev(self._file, buffers)
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        self._builder = None
        self._release()
        with suppress(
            OSError
        ):  # what stays does not agree with the segment, which whoever reads it will notice
            self._files.remove(self._path)

    def _release(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                self._files.close(file)
            except OSError:
                self._builder = None


def load(segment: Path, epoch: int, seq: int, size: int, files: Files) -> Index | None:
    """The index beside a segment; None when there is none that can be used."""
    try:
        file = files.open_read(index_path(segment))
    except OSError:
        return None
    try:
        data = files.pread(file, files.size(file), 0)
    except OSError:
        return None
    finally:
        files.close(file)
    return parse(data, epoch, seq, size)


def save(segment: Path, data: bytes, files: Files) -> None:
    """Put a new index beside a segment, all of it or nothing.

    Raises:
        OSError: the old one, if there is one, stays.
    """
    path = index_path(segment)
    fresh = path.with_name(path.name + TEMPORARY)
    files.remove(fresh)
    file = files.open_append(fresh)
    try:
        files.writev(file, [data])
        files.sync(file)
    finally:
        files.close(file)
    files.rename(fresh, path)
