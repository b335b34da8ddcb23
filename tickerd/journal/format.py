"""The bytes of a segment: a file header, then records that each carry a mark, a length, a kind and a CRC.

Pure: nothing here touches a file. A segment decodes by itself for ever: names, instruments and the codec's id
stand in it before the first record that needs them.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple
from zlib import crc32

MAGIC = b"tickerd journal 1\n"
"""First bytes of every segment; the number grows when older readers could no longer read it."""

MARK = b"\xa7TKr"
"""First bytes of every record, looked for again after damage."""

_HEAD = Struct(">4sIB3x")
_CRC = Struct(">I")
HEAD_SIZE = _HEAD.size + _CRC.size
MAX_PAYLOAD = 2**26
"""Bytes. A record longer than this is damage, not data."""
MAX_SEQ = 2**63 - 1
"""A larger one is none that a hub gave."""


class Kind(IntEnum):
    """What a record holds."""

    HEADER = 1
    """msgpack: `tickerd.journal.segment.Header`; the first record of each segment."""
    NAMES = 2
    """msgpack: pairs of a number and what it stands for from here on: a source, a namespace, a codec."""
    INSTRUMENTS = 3
    """msgpack: instruments that are used from here on."""
    TICKS = 4
    """One network read, see `Ticks`."""
    EVENTS = 5
    """Control records, see `Events`."""


class Record(NamedTuple):
    """One intact record."""

    offset: int
    """Of its mark, in bytes from the start of the uncompressed segment."""
    kind: int
    payload: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes in the segment, its head included."""
        return HEAD_SIZE + len(self.payload)


class Damage(NamedTuple):
    """Bytes that hold no intact record."""

    offset: int
    size: int
    reason: str
    """``torn`` at the end of the data, else ``crc`` or ``mark``."""


def read(data: bytes, offset: int, base: int = 0) -> Record | None:
    """The record at this place, or None when there is no intact one; ``base`` is added to its offset."""
    start = offset + HEAD_SIZE
    if start > len(data):
        return None
    mark, length, kind = _HEAD.unpack_from(data, offset)
    if mark != MARK or length > MAX_PAYLOAD or start + length > len(data):
        return None
    payload = data[start : start + length]
    (crc,) = _CRC.unpack_from(data, start - _CRC.size)
    if crc32(payload, crc32(data[offset : start - _CRC.size])) != crc:
        return None
    return Record(base + offset, kind, payload)


def wanted(data: bytes, offset: int) -> int:
    """How many bytes from this place on `read` has to see to decide; at least a head."""
    if offset + HEAD_SIZE > len(data):
        return HEAD_SIZE
    mark, length, _ = _HEAD.unpack_from(data, offset)
    return HEAD_SIZE + length if mark == MARK and length <= MAX_PAYLOAD else HEAD_SIZE


def kind_of(head: bytes) -> int:
    """Of the record that begins with this buffer; see `record`."""
    return head[8]


def record(kind: int, payload: bytes) -> tuple[bytes, bytes]:
    """A record as two buffers to be written one after the other.

    Raises:
        ValueError: the payload is longer than a record may be.
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a journal record holds at most {MAX_PAYLOAD} bytes, not {len(payload)}")
    head = _HEAD.pack(MARK, len(payload), kind)
    return head + _CRC.pack(crc32(payload, crc32(head))), payload


_EXTENT = Struct(">QIq")


class Extent(NamedTuple):
    """What every record of ticks or events begins with: which positions and which time it covers."""

    seq: int
    """Of its first tick or control record."""
    many: int
    """How many positions it takes; known without its codec."""
    ts_ns: int
    """The newest ``ts_recv`` in it; 0 when unknown."""

    @property
    def last(self) -> int:
        """The ``seq`` of its last tick or control record."""
        return self.seq + self.many - 1


def extent(kind: int, payload: bytes) -> Extent | None:
    """What a record covers; None for one that only names something, or is not understood."""
    if kind not in (Kind.TICKS, Kind.EVENTS) or len(payload) < _EXTENT.size:
        return None
    found = Extent(*_EXTENT.unpack_from(payload))
    return found if found.many and found.last <= MAX_SEQ else None


_TICKS = Struct(">QIqiHHHI")
_MARK_ENTRY = Struct(">IB")


class Ticks(NamedTuple):
    """One network read as the journal keeps it; ids refer to names that stand earlier in the segment."""

    seq: int
    """Of its first tick."""
    many: int
    """How many ticks, and so positions, it holds; known without its codec."""
    ts_recv: int
    connection: int
    """-1: none."""
    source: int
    namespace: int
    codec: int
    marks: dict[int, int]
    """Flags by index of the tick."""
    raw: bytes


def pack_ticks(ticks: Ticks) -> bytes:
    """A payload of kind `Kind.TICKS`."""
    marks = b"".join(_MARK_ENTRY.pack(index, bits) for index, bits in ticks.marks.items())
    head = _TICKS.pack(*ticks[:7], len(ticks.marks))
    return b"".join((head, marks, ticks.raw))


def unpack_ticks(payload: bytes) -> Ticks:
    """The inverse of `pack_ticks`.

    Raises:
        ValueError: too short.
    """
    if len(payload) < _TICKS.size:
        raise ValueError("a record of ticks is too short")
    seq, many, ts_recv, connection, source, namespace, codec, count = _TICKS.unpack_from(payload)
    end = _TICKS.size + count * _MARK_ENTRY.size
    if len(payload) < end:
        raise ValueError("a record of ticks is shorter than its marks")
    marks = dict(_MARK_ENTRY.iter_unpack(payload[_TICKS.size : end])) if count else {}
    return Ticks(seq, many, ts_recv, connection, source, namespace, codec, marks, payload[end:])


_EVENTS = _EXTENT


class Events(NamedTuple):
    """Control records that were published together."""

    seq: int
    """Of the first."""
    many: int
    """How many there are."""
    ts_ns: int
    """The newest ``ts_recv`` of them."""
    body: bytes
    """msgpack list of `tickerd.plugin.AnyRecord`."""


def pack_events(events: Events) -> bytes:
    """A payload of kind `Kind.EVENTS`."""
    return _EVENTS.pack(*events[:3]) + events.body


def unpack_events(payload: bytes) -> Events:
    """The inverse of `pack_events`.

    Raises:
        ValueError: too short.
    """
    if len(payload) < _EVENTS.size:
        raise ValueError("a record of events is too short")
    seq, many, ts_ns = _EVENTS.unpack_from(payload)
    return Events(seq, many, ts_ns, payload[_EVENTS.size :])
