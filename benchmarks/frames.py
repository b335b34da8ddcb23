"""Made-up but believable frames of full packets: what a broker's connection brings in a busy second."""

import random

from tickerd.plugin import Instrument
from tickerd.wire.kite.frame import join
from tickerd.wire.kite.layout import FULL_PACKET

TICK_SIZE = 5
"""Paise."""
_SEGMENTS = {1: "NSE", 2: "NFO", 4: "BSE", 7: "MCX"}


def instruments(count: int, rng: random.Random) -> list[Instrument]:
    """Mostly options, as a portfolio of 9,000 instruments is."""
    out = []
    for number in range(count):
        segment = rng.choices(list(_SEGMENTS), (25, 65, 5, 5))[0]
        name = f"NIFTY26SEP{20000 + 50 * number}CE" if segment == 2 else f"STOCK{number}"
        out.append(Instrument("kite", (50_000 + number) << 8 | segment, _SEGMENTS[segment], name))
    return out


def packet(token: int, now: int, price: int, rng: random.Random) -> bytes:
    """One full packet around ``price`` (paise); no two are alike.

    As in a real feed, large orders are rarer than small ones, equities have no open interest, and an eighth of
    the derivatives is so thinly traded that its book has empty levels.
    """
    derivative = token & 0xFF in (2, 7)
    lot = 75 if derivative else 1
    opening = price + rng.randint(-200, 200) * TICK_SIZE
    spread = rng.randint(1, 3) * TICK_SIZE
    oi = lot * rng.randint(10, 100_000) if derivative else 0
    values = [
        token,
        price,
        _size(rng, lot, 3),
        price + rng.randint(-500, 500),
        lot * rng.randint(100, 200_000),
        lot * rng.randint(10, 10_000),
        lot * rng.randint(10, 10_000),
        opening,
        max(opening, price) + rng.randint(0, 100) * TICK_SIZE,
        max(TICK_SIZE, min(opening, price) - rng.randint(0, 100) * TICK_SIZE),
        price + rng.randint(-300, 300) * TICK_SIZE,
        now - int(rng.expovariate(1 / 20)),
        oi,
        oi + oi // 20,
        oi - oi // 10,
        now - (rng.random() < 0.2),
    ]
    levels = rng.randint(1, 4) if derivative and rng.random() < 0.125 else 5
    for side in (-1, 1):
        for level in range(5):
            there = level < levels
            values += (
                _size(rng, lot, 15) if there else 0,
                price + side * (spread + level * TICK_SIZE) if there else 0,
                _size(rng, 1, 6) if there else 0,
            )
    return FULL_PACKET.pack(*values)


def _size(rng: random.Random, lot: int, mean: float) -> int:
    return lot * (1 + int(rng.expovariate(1 / mean)))


def frames(universe: list[Instrument], count: int, size: int, rng: random.Random) -> list[bytes]:
    """``count`` frames of ``size`` different instruments each, a few a second."""
    prices = {i.token: rng.randint(200, 100_000) * TICK_SIZE for i in universe}
    out = []
    for number in range(count):
        now = 1_790_000_000 + number // 5
        chosen = rng.sample(universe, size)
        out.append(
            join(
                packet(i.token, now, prices[i.token] + rng.randint(-20, 20) * TICK_SIZE, rng) for i in chosen
            )
        )
    return out
