"""Taking frames apart, whatever is in them, and putting them together."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import Split
from tickerd.wire.kite import frame
from tickerd.wire.kite.frame import join, split
from tickerd.wire.kite.layout import MODES

Framed = Callable[..., bytes]

PACKET = st.sampled_from([*MODES]).flatmap(lambda length: st.binary(min_size=length, max_size=length))
STRANGE = (
    st.integers(0, 300)
    .filter(lambda length: length not in MODES)
    .flatmap(lambda length: st.binary(min_size=length, max_size=length))
)


def token(packet: bytes) -> int:
    return int.from_bytes(packet[:4])


def numbered(number: int, length: int) -> bytes:
    return struct.pack(">I", number).ljust(length, b"\x01")


@given(st.lists(PACKET, max_size=30))
def test_what_was_joined_comes_apart_again(framed: Framed, packets: list[bytes]) -> None:
    raw = join(packets)
    assert raw == framed(*packets)
    found = split(raw)
    assert (list(found.tokens), list(found.packets)) == ([token(p) for p in packets], packets)
    assert found.faults == ({} if packets else {"no_packets": 1})


@given(st.lists(st.tuples(st.sampled_from([*MODES]), st.integers(1, 200)), min_size=1, max_size=5))
def test_runs_of_any_length_come_apart(runs: list[tuple[int, int]]) -> None:
    """Runs are read in chunks of 64, 8 and 1; long ones use all three."""
    lengths = [length for length, many in runs for _ in range(many)]
    packets = [numbered(number, length) for number, length in enumerate(lengths)]
    assert split(join(packets)) == Split(list(range(len(packets))), packets, {})


@pytest.mark.parametrize("many", [1, 7, 8, 9, 63, 64, 65, 71, 72, 73, 127, 128, 129, 200])
def test_no_chunk_loses_or_repeats_a_packet(many: int) -> None:
    packets = [numbered(number, 184) for number in range(many)]
    assert split(join(packets)) == Split(list(range(many)), packets, {})


def test_packets_are_copies_that_outlive_the_frame() -> None:
    raw = bytearray(join([numbered(5, 44)]))
    (packet,) = split(bytes(raw)).packets
    raw[:] = bytes(len(raw))
    assert type(packet) is bytes
    assert packet == numbered(5, 44)


@pytest.mark.parametrize(
    ("raw", "faults"),
    [
        (b"", {"empty": 1}),
        (b"\x00", {}),
        (b"\x01", {}),
        (b"\xff", {}),
        (b"\x00\x00", {"no_packets": 1}),
        (b"\x00\x00rest", {"no_packets": 1}),
        (b"\x00\x01", {"truncated": 1}),
        (b"\x00\x01\x00", {"truncated": 1}),
        (b"\x00\x01\x00\x08", {"truncated": 1}),
        (b"\x00\x01\x00\x08short", {"truncated": 1}),
        (b"\x00\x01\x00\x09short", {"truncated": 1}),
        (b"\x00\x01\x00\x00", {"unknown_length": 1}),
        (b"\x00\x03" + b"\x00\x01." * 3, {"unknown_length": 3}),
        (b"\x00\x01\x00\x01..", {"unknown_length": 1, "trailing_bytes": 1}),
    ],
)
def test_frames_without_a_usable_packet_are_counted_by_reason(raw: bytes, faults: dict[str, int]) -> None:
    assert split(raw) == Split([], [], faults) or split(raw) == Split((), (), faults)


@given(st.lists(PACKET, min_size=1, max_size=12), st.data())
def test_a_truncated_frame_keeps_the_good_packets_before(packets: list[bytes], data: st.DataObject) -> None:
    raw = join(packets)
    cut = data.draw(st.integers(2, len(raw) - 1))
    whole, end = [], 2
    for packet in packets:
        end += 2 + len(packet)
        if end <= cut:
            whole.append(packet)
    assert split(raw[:cut]) == Split([token(p) for p in whole], whole, {"truncated": 1})


@given(st.lists(st.one_of(PACKET, STRANGE), min_size=1, max_size=12))
def test_packets_of_unknown_length_are_skipped_and_the_rest_is_used(
    framed: Framed, packets: list[bytes]
) -> None:
    good = [packet for packet in packets if len(packet) in MODES]
    strange = len(packets) - len(good)
    assert split(framed(*packets)) == Split(
        [token(p) for p in good], good, {"unknown_length": strange} if strange else {}
    )


@given(st.lists(PACKET, min_size=1, max_size=12), st.binary(min_size=1, max_size=400))
def test_trailing_bytes_are_counted_and_not_used(packets: list[bytes], rest: bytes) -> None:
    found = split(join(packets) + rest)
    assert (list(found.packets), found.faults) == (packets, {"trailing_bytes": 1})


@given(st.lists(PACKET, min_size=1, max_size=12), st.integers(1, 65_000))
def test_a_count_that_is_too_high_keeps_all_packets(packets: list[bytes], more: int) -> None:
    raw = struct.pack(">H", min(65_535, len(packets) + more)) + join(packets)[2:]
    assert split(raw) == Split([token(p) for p in packets], packets, {"truncated": 1})


@given(st.binary(max_size=2_000))
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    found = split(raw)
    assert len(found.tokens) == len(found.packets)
    assert [token(packet) for packet in found.packets] == list(found.tokens)
    assert {len(packet) for packet in found.packets} <= MODES.keys()


def test_65_535_packets_fit_and_one_more_does_not() -> None:
    packets = [numbered(number, 8) for number in range(65_535)]
    assert list(split(join(packets)).tokens) == list(range(65_535))
    with pytest.raises(ValueError, match="65536 packets do not fit one frame, which holds at most 65535"):
        join([*packets, packets[0]])


# -- the cost of hostile frames ------------------------------------------------------------------------------


class Watched(bytes):
    """Bytes that count how many of them are looked at through slices."""

    looked_at: int

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        found = super().__getitem__(key)
        self.looked_at = getattr(self, "looked_at", 0) + (len(found) if isinstance(key, slice) else 1)
        return found


@pytest.mark.parametrize(
    "lengths",
    [
        [8, 28] * 5_000,
        [184] * 5_000,
        ([8] * 17 + [28]) * 500,
        ([8] * 15 + [44] * 16 + [28] * 130) * 50,
        [28, 184, 8] * 2_000,
    ],
    ids=["alternating", "equal", "just over the first probe", "around the windows", "three kinds"],
)
def test_looking_for_runs_is_linear_in_the_number_of_packets(lengths: list[int]) -> None:
    """Each packet's two length bytes are looked at a few times at most, whatever the order of lengths."""
    raw = Watched(join([numbered(number, length) for number, length in enumerate(lengths)]))
    found = split(raw)
    assert list(found.tokens) == list(range(len(lengths)))
    assert raw.looked_at <= 40 * len(lengths)


def test_a_run_is_looked_for_no_further_than_asked() -> None:
    raw = Watched(join([numbered(number, 8) for number in range(1_000)]))
    raw.looked_at = 0
    assert frame._run_length(raw, 2, 10, 3) == 3
    assert raw.looked_at <= 8


def test_a_run_ends_where_the_length_changes() -> None:
    for run in (1, 15, 16, 17, 143, 144, 145, 1_500):
        raw = join([numbered(0, 8)] * run + [numbered(0, 44)])
        assert frame._run_length(raw, 2, 10, run + 1) == run
