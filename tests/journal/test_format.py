"""Records as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.journal import format as fmt
from tickerd.journal.format import Events, Extent, Kind, Ticks


@given(st.integers(0, 255), st.binary(max_size=300), st.binary(max_size=20), st.binary(max_size=20))
def test_a_record_is_read_back_from_any_place(kind, payload, before, after):
    data = before + b"".join(fmt.record(kind, payload)) + after
    found = fmt.read(data, len(before), base=1000)
    assert found == (1000 + len(before), kind, payload)
    assert found.size == fmt.wanted(data, len(before)) == len(data) - len(before) - len(after)


@given(st.binary(max_size=100), st.data())
def test_no_flipped_bit_gives_a_record(payload, data):
    whole = bytearray(b"".join(fmt.record(Kind.TICKS, payload)))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    assert fmt.read(bytes(whole), 0) is None


@given(st.binary(max_size=100), st.data())
def test_no_part_of_a_record_is_one(payload, data):
    whole = b"".join(fmt.record(Kind.TICKS, payload))
    assert fmt.read(whole[: data.draw(st.integers(0, len(whole) - 1))], 0) is None


def test_a_record_has_a_largest_size():
    with pytest.raises(ValueError, match="at most 67108864 bytes, not 67108865"):
        fmt.record(Kind.TICKS, bytes(fmt.MAX_PAYLOAD + 1))
    head = fmt.record(Kind.TICKS, b"x")[0]
    claim = head[:4] + (fmt.MAX_PAYLOAD + 1).to_bytes(4, "big") + head[8:]
    assert fmt.wanted(claim, 0) == fmt.HEAD_SIZE


def test_the_kind_stands_in_the_head():
    assert fmt.kind_of(fmt.record(Kind.EVENTS, b"")[0]) == Kind.EVENTS


u16, u32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
ticks = st.builds(
    Ticks,
    st.integers(0, 2**64 - 1),
    u32,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-1, 2**31 - 1),
    u16,
    u16,
    u16,
    st.dictionaries(u32, st.integers(0, 255), max_size=5),
    st.binary(max_size=50),
)


@given(ticks)
def test_ticks_are_unpacked_as_they_were_packed(value):
    payload = fmt.pack_ticks(value)
    assert fmt.unpack_ticks(payload) == value
    covers = fmt.extent(Kind.TICKS, payload)
    sound = value.many and value.seq + value.many <= 2**63
    assert covers == (Extent(value.seq, value.many, value.ts_recv) if sound else None)


@given(
    st.builds(
        Events, st.integers(0, 2**64 - 1), u32, st.integers(-(2**63), 2**63 - 1), st.binary(max_size=50)
    )
)
def test_events_are_unpacked_as_they_were_packed(value):
    assert fmt.unpack_events(fmt.pack_events(value)) == value


def test_what_is_too_short_is_refused():
    value = Ticks(1, 1, 1, 1, 0, 0, 0, {0: 1, 1: 2}, b"")
    with pytest.raises(ValueError, match="shorter than its marks"):
        fmt.unpack_ticks(fmt.pack_ticks(value)[:-1])
    with pytest.raises(ValueError, match="too short"):
        fmt.unpack_ticks(b"x" * 10)
    with pytest.raises(ValueError, match="too short"):
        fmt.unpack_events(b"x" * 10)


def test_records_that_name_something_cover_nothing():
    assert fmt.extent(Kind.NAMES, bytes(100)) is None
    assert fmt.extent(Kind.TICKS, b"short") is None
    assert fmt.extent(Kind.TICKS, bytes([255]) * 30) is None
    assert Extent(5, 3, 0).last == 7
