"""Lengths, divisors, and packets cut down to a lower mode."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickerd.wire.kite.layout import (
    DIVISORS,
    FULL_PACKET,
    INDEX_FULL_PACKET,
    INDEX_QUOTE_PACKET,
    LTP_PACKET,
    MODES,
    QUOTE_PACKET,
    divisor,
    full_ones,
    prefix,
    segment,
    unpack_full,
)

FULL = st.binary(min_size=184, max_size=184)


def test_each_struct_has_the_length_that_names_its_packet() -> None:
    structs = (LTP_PACKET, INDEX_QUOTE_PACKET, INDEX_FULL_PACKET, QUOTE_PACKET, FULL_PACKET)
    assert [struct.size for struct in structs] == [8, 28, 32, 44, 184] == sorted(MODES)


def test_the_low_byte_of_a_token_is_its_segment() -> None:
    assert segment(408_065) == 1
    assert segment(256_265) == 9
    assert segment(0xFFFF_FF03) == 3


def test_currencies_and_nse_commodities_have_divisors_of_their_own() -> None:
    assert {number: d for number, d in enumerate(DIVISORS) if d != 100} == {
        3: 10_000_000,
        6: 10_000,
        12: 10_000,
    }
    assert (divisor(408_065), divisor(5 << 8 | 3), divisor(5 << 8 | 6), divisor(5 << 8 | 12)) == (
        100,
        10**7,
        10**4,
        10**4,
    )


@pytest.mark.parametrize(
    ("length", "mode", "left"),
    [
        (184, "full", 184),
        (184, "quote", 44),
        (184, "ltp", 8),
        (44, "full", 44),
        (44, "quote", 44),
        (44, "ltp", 8),
        (32, "full", 32),
        (32, "quote", 28),
        (32, "ltp", 8),
        (28, "full", 28),
        (28, "quote", 28),
        (28, "ltp", 8),
        (8, "full", 8),
        (8, "quote", 8),
        (8, "ltp", 8),
    ],
)
def test_a_packet_of_a_lower_mode_is_the_beginning_of_the_higher(length: int, mode: str, left: int) -> None:
    packet = bytes(range(length))
    assert prefix(packet, mode) == packet[:left]


@given(st.lists(FULL, max_size=5))
def test_many_full_packets_unpack_as_each_does(packets: list[bytes]) -> None:
    assert list(unpack_full(packets)) == [FULL_PACKET.unpack(packet) for packet in packets]


def test_full_ones_are_told_by_their_length() -> None:
    assert full_ones([bytes(184), bytes(44), bytes(32)]) == [True, False, False]
