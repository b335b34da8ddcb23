"""The codec that the hub uses."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import DUPLICATE, OUT_OF_ORDER, BulkCodec, Codec, Split, Stamp
from tickerd.wire.kite import KITE, MODES

FULL_AT, INDEX_AT = 60, 28


def stamped(length: int, at: int, when: int, last: int = 5) -> bytes:
    packet = bytearray(struct.pack(">Ii", 408_065, last).ljust(length, b"\x01"))
    packet[at : at + 4] = struct.pack(">I", when)
    return bytes(packet)


def test_it_is_a_codec_that_decodes_in_bulk(infy_full: bytes, stamp: Stamp) -> None:
    codec: Codec = KITE
    assert codec.id == "kite"
    assert isinstance(KITE, BulkCodec)
    assert codec.row(infy_full, stamp).last_price == 1573.7


def test_it_splits_and_joins_frames(infy_full: bytes, infy_quote: bytes) -> None:
    raw = KITE.join([408_065, 408_065], [infy_full, infy_quote])
    assert KITE.split(raw) == Split([408_065, 408_065], [infy_full, infy_quote])


def test_the_same_bytes_again_are_a_duplicate(infy_full: bytes, infy_quote: bytes) -> None:
    assert KITE.marks([infy_full, infy_quote], [infy_full, infy_quote]) == {0: DUPLICATE, 1: DUPLICATE}


def test_the_first_packet_of_an_instrument_has_no_mark(infy_full: bytes) -> None:
    assert KITE.marks([infy_full], [None]) == {}


def test_an_older_exchange_time_is_out_of_order() -> None:
    for length, at in ((184, FULL_AT), (32, INDEX_AT)):
        old, new = stamped(length, at, 100, last=1), stamped(length, at, 101)
        assert KITE.marks([old], [new]) == {0: OUT_OF_ORDER}
        assert KITE.marks([new], [old]) == {}
        assert KITE.marks([stamped(length, at, 100, last=2)], [old]) == {}


def test_a_time_of_zero_is_unknown_and_not_old() -> None:
    assert KITE.marks([stamped(184, FULL_AT, 0)], [stamped(184, FULL_AT, 100)]) == {}


def test_times_compare_as_unsigned_numbers() -> None:
    assert KITE.marks([stamped(184, FULL_AT, 2**31 + 5)], [stamped(184, FULL_AT, 2**31 - 5)]) == {}
    assert KITE.marks([stamped(184, FULL_AT, 255)], [stamped(184, FULL_AT, 256)]) == {0: OUT_OF_ORDER}


def test_packets_of_different_modes_are_not_compared() -> None:
    assert KITE.marks([stamped(184, FULL_AT, 1)[:44]], [stamped(184, FULL_AT, 100)]) == {}
    assert KITE.marks([bytes(44)], [bytes(43) + b"\x01"]) == {}


def test_marks_are_by_place_and_sparse(infy_full: bytes) -> None:
    other = stamped(184, FULL_AT, 1)
    assert KITE.marks([infy_full, other, infy_full], [None, infy_full, infy_full]) == {
        1: OUT_OF_ORDER,
        2: DUPLICATE,
    }


@given(st.lists(st.tuples(st.binary(max_size=200), st.none() | st.binary(max_size=200))))
def test_no_bytes_make_marks_raise(pairs: list[tuple[bytes, bytes | None]]) -> None:
    found = KITE.marks([new for new, _ in pairs], [old for _, old in pairs])
    assert found.keys() <= set(range(len(pairs)))


def test_its_modes_are_those_of_the_lengths() -> None:
    assert {MODES[length] for length in MODES} == {"ltp", "quote", "full"}
