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
    """One full packet around ``price`` (paise); no two are alike."""
    opening = price + rng.randint(-200, 200) * TICK_SIZE
    spread = rng.randint(1, 3) * TICK_SIZE
    values = [
        token,
        price,
        rng.randint(1, 500) * 25,
        price + rng.randint(-500, 500),
        rng.randint(10_000, 20_000_000),
        rng.randint(1_000, 3_000_000),
        rng.randint(1_000, 3_000_000),
        opening,
        max(opening, price) + rng.randint(0, 100) * TICK_SIZE,
        max(TICK_SIZE, min(opening, price) - rng.randint(0, 100) * TICK_SIZE),
        price + rng.randint(-300, 300) * TICK_SIZE,
        now - int(rng.expovariate(1 / 20)),
        *((oi := rng.randint(0, 10_000_000)), oi + rng.randint(0, 500_000), max(0, oi - rng.randint(0, 500_000))),
        now - (rng.random() < 0.2),
    ]
    for side in (-1, 1):
        for level in range(5):
            values += (rng.randint(1, 400) * 25, price + side * (spread + level * TICK_SIZE), rng.randint(1, 60))
    return FULL_PACKET.pack(*values)


def frames(universe: list[Instrument], count: int, size: int, rng: random.Random) -> list[bytes]:
    """``count`` frames of ``size`` different instruments each, a few a second."""
    prices = {i.token: rng.randint(200, 100_000) * TICK_SIZE for i in universe}
    out = []
    for number in range(count):
        now = 1_790_000_000 + number // 5
        chosen = rng.sample(universe, size)
        out.append(join(packet(i.token, now, prices[i.token] + rng.randint(-20, 20) * TICK_SIZE, rng) for i in chosen))
    return out
