"""A row that was decoded from a packet becomes that packet again; what the wire cannot hold is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.plugin import OHLC, Depth, Level, Row, Stamp
from tickerd.wire.kite import encode, row
from tickerd.wire.kite.layout import (
    FULL,
    FULL_PACKET,
    INDEX_FULL,
    INDEX_FULL_PACKET,
    INDEX_QUOTE,
    LTP,
    MODES,
    QUOTE,
    prefix,
)

NIFTY = 256_265
SEGMENTS = st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 12])


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
def test_a_real_packet_survives_there_and_back(infy_full: bytes, stamp: Stamp, mode: str) -> None:
    packet = prefix(infy_full, mode)
    assert encode.packet(row(packet, stamp)) == packet


@pytest.mark.parametrize("length", [LTP, INDEX_QUOTE, INDEX_FULL])
def test_an_index_has_its_own_order_of_prices(stamp: Stamp, length: int) -> None:
    packet = INDEX_FULL_PACKET.pack(NIFTY, 912_685, 920_000, 900_000, 910_000, 916_005, -36, 1_625_461_887)
    assert encode.packet(row(packet[:length], stamp)) == packet[:length]


@given(SEGMENTS, st.lists(st.integers(1, 2**31 - 2), min_size=46, max_size=46))
def test_whatever_numbers_a_packet_has(segment: int, numbers: list[int]) -> None:
    for orders in range(18, 46, 3):
        numbers[orders] %= 2**16
    packet = FULL_PACKET.pack(numbers[0] & ~0xFF | segment, *numbers[1:])
    assert encode.packet(row(packet, Stamp(None, None, None, 0, 1, 1, 0))) == packet


def test_what_a_row_does_not_know_is_zero() -> None:
    packet = encode.packet(Row(408_065, last_price=1.5))
    assert packet == (408_065).to_bytes(4) + (150).to_bytes(4) + bytes(FULL - 8)


@pytest.mark.parametrize(("mode", "length"), [("ltp", LTP), ("quote", QUOTE), ("full", FULL), ("odd", FULL)])
def test_the_mode_decides_the_length(mode: str, length: int) -> None:
    packet = encode.packet(Row(1, mode=mode, last_price=1.0))
    assert len(packet) == length
    assert len(packet) in MODES


def test_deeper_levels_are_left_out_and_missing_ones_empty() -> None:
    level = Level(7, 1.5, 70_000)
    packet = encode.packet(Row(1, last_price=1.0, depth=Depth((level,) * 7, (level,))))
    book = [packet[at : at + 12].hex() for at in range(64, FULL, 12)]
    one = "00000007" + "00000096" + "ffff" + "0000"
    assert book == [one] * 5 + [one] + ["00" * 12] * 4


def test_quantities_beyond_the_wire_are_the_most_it_can_hold() -> None:
    packet = encode.packet(Row(1, last_price=1.0, volume_traded=2**40, total_buy_quantity=-5))
    assert packet[16:24].hex() == "ffffffff" + "00000000"


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        (Row(-1, last_price=1.0), "token -1"),
        (Row(2**32, last_price=1.0), "token 4294967296"),
        (Row(1), "without a last price"),
        (Row(1, last_price=3e7), "price 30000000.0"),
        (Row(1, last_price=1.0, ohlc=OHLC(1.0, 1e9, 1.0, 1.0)), "price 1000000000.0"),
        (Row(1, last_price=float("nan")), "price nan"),
        (Row(1, last_price=float("inf")), "price inf"),
    ],
)
def test_what_no_packet_can_hold_is_refused(odd: Row, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        encode.packet(odd)


def test_an_index_change_that_is_too_large_is_cut() -> None:
    packet = encode.packet(Row(NIFTY, mode="quote", last_price=20_000_000.0, ohlc=OHLC(1.0, 1.0, 1.0, 0.01)))
    assert packet[24:28].hex() == "7fffffff"
