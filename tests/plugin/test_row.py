"""Decoded ticks as text, and the names of their flags."""

import random

import msgspec
import pytest

from tickerd.plugin import DUPLICATE, FLAG_NAMES, OUT_OF_ORDER, SNAPSHOT, SUSPICIOUS, Row, flag_names


@pytest.mark.parametrize("bits", range(32))
def test_flags_are_named_bit_by_bit(bits: int) -> None:
    known = {
        SNAPSHOT: "snapshot",
        DUPLICATE: "duplicate",
        OUT_OF_ORDER: "out_of_order",
        SUSPICIOUS: "suspicious",
    }
    assert flag_names(bits) == tuple(name for bit, name in known.items() if bits & bit)
    assert tuple(known.values()) == FLAG_NAMES


def test_prices_print_as_the_shortest_decimal() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        paise = chance.randrange(-(10**9), 10**9)
        text = msgspec.json.encode(Row(1, last_price=paise / 100)).split(b'"last_price":')[1].split(b",")[0]
        whole, _, rest = text.decode().partition(".")
        assert int(whole + rest.ljust(2, "0")[:2]) == paise
        assert len(rest) <= 2
