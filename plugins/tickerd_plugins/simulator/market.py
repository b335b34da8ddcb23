"""Prices, depth and volumes that move as a market's do, kept as ready-made packets.

Every instrument holds its full packet in a bytearray, of which one tick rewrites a few fields. That is what
lets one core make 30,000 packets a second and have most of its time left.
"""

import random
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from struct import Struct
from typing import Protocol

from tickerd.wire.kite.layout import FULL, FULL_PACKET, INDEX_FULL_PACKET, INDICES, divisor, prefix, segment
from tickerd_plugins.simulator.universe import Listing, Universe

_TRADE = Struct(">iIiIII")
"""Last price, last quantity, average price, volume, buy and sell totals: bytes 4 to 28 of a packet."""
_OHL = Struct(">iii")
_TIMES = Struct(">IIIII")
"""Last trade time, OI, its high and low, exchange timestamp: bytes 44 to 64."""
_U32 = Struct(">I")
_LEVEL = Struct(">IiHxx")

_OHL_AT, _TIMES_AT, _DEPTH_AT = 28, 44, 64
_ORDERS_IN_LEVEL = 9
"""The low byte of a level's number of orders, which is below 256 here."""
VOLUME_AT = 16
"""Where a quote or full packet of a tradable instrument has its volume."""

_WANDER = 150
"""How many price steps the walk strays from where it began before it is turned back."""
_U32_MASK = 0xFFFF_FFFF


class Watcher(Protocol):
    """Who is sent the packets of the instruments that it watches."""

    pending: list[bytes]
    """Packets in the watcher's mode, not yet framed."""


class Line(ABC):
    """One instrument: its packet, and who watches it in which mode.

    ``tick(bits, now)`` moves it by one trade at ``now`` (seconds since 1970 UTC), taking its chances from 32
    random bits, and says whether the last price changed.
    """

    __slots__ = ("last", "listing", "packet", "token", "watchers")

    packet: bytearray

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.token = listing.instrument.token
        self.watchers: dict[Watcher, str] = {}
        self.last = round(listing.price * divisor(self.token))

    @property
    def price(self) -> float:
        """The last price."""
        return self.last / divisor(self.token)

    @abstractmethod
    def tick(self, bits: int, now: int) -> bool:
        """See the class."""

    def snapshot(self, mode: str) -> bytes:
        """The packet as it stands, cut to the mode."""
        return prefix(bytes(self.packet), mode)


class TradedLine(Line):
    """An instrument with a book: trades bounce between the best bid and offer, which wander about."""

    __slots__ = ("_anchor", "_average", "_bid", "_buy", "_high", "_lot", "_low", "_now", "_oi", "_oi_high", "_oi_low",
                 "_quantities", "_sell", "_step", "_volume")  # fmt: skip

    def __init__(self, listing: Listing, rng: random.Random, now: int) -> None:
        super().__init__(listing)
        instrument = listing.instrument
        self._step = max(1, round((instrument.tick_size or 0.05) * divisor(self.token)))
        self._lot = max(1, instrument.lot_size)
        self._bid = self._anchor = max(self._step, self.last // self._step * self._step)
        self.last = self._average = self._bid
        self._low, self._high = self._bid, self._bid + self._step
        self._volume = self._lot * rng.randrange(1_000, 50_000)
        self._oi = self._lot * rng.randrange(100, 20_000) if instrument.expiry else 0
        self._oi_low, self._oi_high = self._oi, self._oi
        self._quantities = [self._lot * rng.randrange(1, 60) for _ in range(10)]
        self._buy = self._lot * rng.randrange(2_000, 9_000)
        self._sell = self._lot * rng.randrange(2_000, 9_000)
        previous = max(
            self._step, round(self._bid * (1 + rng.uniform(-0.02, 0.02))) // self._step * self._step
        )
        self.packet = bytearray(FULL)
        last, day = (self.last, self._lot, self._average, self._volume), (self._bid, self._high, self._low)
        oi = (self._oi, self._oi_high, self._oi_low)
        FULL_PACKET.pack_into(
            self.packet, 0, self.token, *last, self._buy, self._sell, *day, previous, now, *oi, now, *[0] * 30
        )
        self._now = now
        self._write_book()

    def tick(self, bits: int, now: int) -> bool:
        """See `Line`."""
        if not bits & 7:
            self._move(bits)
        before = self.last
        self.last = price = self._bid + self._step if bits & 8 else self._bid
        quantity = self._lot * (1 + (bits >> 4 & 15))
        self._volume = volume = (self._volume + quantity) & _U32_MASK
        level = (bits >> 8) % 10
        standing = self._lot * (1 + (bits >> 12 & 63))
        change = standing - self._quantities[level]
        self._quantities[level] = standing
        if level < 5:
            self._buy = max(standing, self._buy + change)
        else:
            self._sell = max(standing, self._sell + change)
        packet = self.packet
        _TRADE.pack_into(packet, 4, price, quantity, self._average, volume, self._buy, self._sell)
        if now != self._now:
            self._now = now
            _TIMES.pack_into(packet, _TIMES_AT, now, self._oi, self._oi_high, self._oi_low, now)
        at = _DEPTH_AT + 12 * level
        if packet[at + _ORDERS_IN_LEVEL]:  # an empty level stays empty
            _U32.pack_into(packet, at, standing)
        return price != before

    def _move(self, bits: int) -> None:
        """One step of the walk: up or down, turned back when it has strayed too far."""
        step, strayed = self._step, self._bid - self._anchor
        up = bool(bits & 1 << 20)
        if strayed > _WANDER * step:
            up = False
        elif strayed < -_WANDER * step or self._bid <= step:
            up = True
        self._bid += step if up else -step
        self._high, self._low = max(self._high, self._bid + step), min(self._low, self._bid)
        self._average += (self._bid - self._average) // 64
        if self._oi:
            self._oi = max(self._lot, self._oi + (self._lot if bits & 1 << 21 else -self._lot))
            self._oi_low, self._oi_high = min(self._oi_low, self._oi), max(self._oi_high, self._oi)
        _OHL.pack_into(self.packet, _OHL_AT, self._anchor, self._high, self._low)
        self._write_book()

    def _write_book(self) -> None:
        """All ten levels: a bid that would cost nothing or less is an empty level."""
        packet, step = self.packet, self._step
        for level, quantity in enumerate(self._quantities):
            price = self._bid + step * (level - 4) if level >= 5 else self._bid - step * level
            at = _DEPTH_AT + 12 * level
            if price > 0:
                _LEVEL.pack_into(packet, at, quantity, price, 1 + quantity // self._lot % 40)
            else:
                packet[at : at + 12] = bytes(12)


class IndexLine(Line):
    """An index: no book and no volume, only a value."""

    __slots__ = ("_anchor", "_close", "_high", "_low")

    def __init__(self, listing: Listing, rng: random.Random, now: int) -> None:
        super().__init__(listing)
        self._anchor = self._low = self._high = self.last
        self._close = max(1, round(self.last * (1 + rng.uniform(-0.01, 0.01))))
        self.packet = bytearray(INDEX_FULL_PACKET.size)
        self._write(now)

    def tick(self, bits: int, now: int) -> bool:
        """See `Line`."""
        before = self.last
        step = (bits & 255) * max(1, self._anchor >> 16) >> 6
        back = self.last > self._anchor * 1.02 or (self.last >= self._anchor * 0.98 and bits & 256)
        self.last = max(1, self.last - step if back else self.last + step)
        self._high, self._low = max(self._high, self.last), min(self._low, self.last)
        self._write(now)
        return self.last != before

    def _write(self, now: int) -> None:
        change = round((self.last - self._close) * 10_000 / self._close)
        INDEX_FULL_PACKET.pack_into(
            self.packet,
            0,
            self.token,
            self.last,
            self._high,
            self._low,
            self._anchor,
            self._close,
            change,
            now,
        )


class Market:
    """The lines of every instrument that somebody asked about, and the ones that are watched, in turn."""

    def __init__(self, universe: Universe, *, seed: int | None = None) -> None:
        self.universe = universe
        self._rng = random.Random(seed)  # noqa: S311 - prices, not secrets
        self._lines: dict[int, Line] = {}
        self._watched: list[Line] = []
        self._stale = False
        self._next = 0

    def line(self, token: int, now: int) -> Line | None:
        """The line of that token, made at the first use; None when no instrument has it."""
        line = self._lines.get(token)
        if line is None:
            listing = self.universe.listings.get(token)
            if listing is None:
                return None
            kind = IndexLine if segment(token) == INDICES else TradedLine
            line = self._lines[token] = kind(listing, self._rng, now)
        return line

    def watch(self, line: Line, watcher: Watcher, mode: str) -> None:
        """Have the watcher sent this line's packets, or change the mode it is sent them in."""
        self._stale = self._stale or not line.watchers
        line.watchers[watcher] = mode

    def unwatch(self, line: Line, watcher: Watcher) -> None:
        """Stop that."""
        line.watchers.pop(watcher, None)
        self._stale = self._stale or not line.watchers

    @property
    def watched(self) -> Sequence[Line]:
        """Lines with a watcher, in the order of their turns."""
        if self._stale:
            self._watched = [line for line in self._lines.values() if line.watchers]
            self._rng.shuffle(self._watched)
            self._stale = False
        return self._watched

    def run(self, count: int, now: int, muted: Collection[int] = ()) -> int:
        """Let the next ``count`` watched lines tick, each in its turn; returns how many did."""
        lines = self.watched
        if not lines:
            return 0
        for _ in range(count):
            self._next = (self._next + 1) % len(lines)
            self.tick(lines[self._next], now, muted)
        return count

    def tick(self, line: Line, now: int, muted: Collection[int] = ()) -> None:
        """Move one line and hand its packet to each watcher; ``ltp`` hears of price changes only."""
        moved = line.tick(self._rng.getrandbits(32), now)
        if muted and line.token in muted:
            return
        packet = bytes(line.packet)
        for watcher, mode in line.watchers.items():
            if mode == "full":
                watcher.pending.append(packet)
            elif mode == "quote" or moved:
                watcher.pending.append(prefix(packet, mode))
