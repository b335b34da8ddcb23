"""Which instruments of a table a selector means. Pure: the day and the prices come in as arguments.

A selector is what `tickerd.plugin.selectors` describes: a symbol, a token, a pattern, or a match.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import NamedTuple

from tickerd.instruments.table import is_expired
from tickerd.instruments.underlying import Underlyings
from tickerd.plugin import Instrument
from tickerd.plugin.listing import Listing
from tickerd.plugin.selectors import Expiry, Match, Strike, is_pattern

HYSTERESIS = 0.75
"""A window moves when the price is so many steps away from its middle; half a step would be the nearest strike.

The quarter beyond keeps a price that wavers between two strikes from subscribing and unsubscribing all the time.
"""

Price = Callable[[Instrument], float | None]
"""The last price of an instrument; None when there was no tick of it yet."""
Chain = tuple[str, str, str]
"""Exchange, underlying's name and expiry: strikes that belong together."""
Middles = Mapping[Chain, float]
"""The strike in the middle of each window."""
NO_MIDDLES: Middles = MappingProxyType({})

_STATIC = ("segment", "name", "instrument_type")
_OPTIONS = frozenset(("CE", "PE"))


class Selected(NamedTuple):
    """What a selector means at a moment."""

    instruments: Sequence[Instrument]
    underlyings: Sequence[Instrument] = ()
    """Those whose price moves its windows: somebody has to bring their ticks."""
    middles: Middles = NO_MIDDLES
    """To be handed in the next time, so that windows do not waver."""
    waiting: Sequence[str] = ()
    """Underlyings without a price so far, or that the table does not have: their windows are empty."""


class Strikes(NamedTuple):
    """One chain of options out of which a window is cut."""

    chain: Chain
    underlying: Instrument | None
    strikes: Sequence[float]
    """Distinct, in order."""
    rows: Mapping[float, Sequence[int]]


class Choice(NamedTuple):
    """What a selector means in one table on one day, but for prices."""

    listing: Listing
    instruments: Sequence[Instrument] = ()
    chains: Sequence[Strikes] = ()
    width: int = 0
    """Strikes in a window."""

    def at(self, price: Price, middles: Middles = NO_MIDDLES) -> Selected:
        """What it means at these prices; cheap.

        Args:
            price: of the underlyings.
            middles: of the last result.
        """
        if not self.chains:
            return Selected(self.instruments)
        instruments: list[Instrument] = []
        waiting: dict[str, None] = {}
        kept: dict[Chain, float] = {}
        for chain, under, strikes, rows in self.chains:
            now = None if under is None else price(under)
            if now is None:
                waiting[chain[1] if under is None else under.symbol] = None
                continue
            kept[chain] = middle = recentre(strikes, now, middles.get(chain))
            for strike in window(strikes, middle, self.width):
                instruments += map(self.listing.at, rows[strike])
        followed = {part.underlying.symbol: part.underlying for part in self.chains if part.underlying}
        return Selected(instruments, tuple(followed.values()), kept, tuple(waiting))


def is_selector(key: object) -> bool:
    """Whether it may mean several instruments, rather than being a symbol or token."""
    return isinstance(key, Match) or (isinstance(key, str) and is_pattern(key))


def choose(listing: Listing, key: str | Match, today: str) -> Choice:
    """What a pattern or match means; what has expired before ``today`` (an ISO date) is never meant."""
    if isinstance(key, str):
        found = map(listing.at, matching(listing, key))
        return Choice(listing, [one for one in found if not is_expired(one, today)])
    rows = _in_expiry(listing, _static(listing, key), key.expiry, today)
    if key.strike is None:
        return Choice(listing, [listing.at(row) for row in rows])
    rows = _between_strikes(listing, rows, key.strike)
    if key.strike.count is None:
        return Choice(listing, [listing.at(row) for row in rows])
    chains = _chains(listing, rows, today, key.strike.underlying)
    return Choice(listing, chains=tuple(chains), width=key.strike.count)


def select(
    listing: Listing, key: str | Match, today: str, price: Price, middles: Middles = NO_MIDDLES
) -> Selected:
    """What a selector means now, in one step; see `choose` and `Choice.at`."""
    return choose(listing, key, today).at(price, middles)


def matching(listing: Listing, pattern: str) -> Iterable[int]:
    """The rows whose symbols fit a pattern."""
    fixed = re.split(r"[*?]", pattern, maxsplit=1)[0]
    text, offset = listing.text(listing.beginning(fixed))
    for found in _compiled(pattern).finditer(text):
        yield listing.row_at(offset + found.start())


def matches(symbol: str, pattern: str) -> bool:
    """Whether one symbol fits a pattern."""
    return _compiled(pattern).fullmatch(symbol.encode()) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[bytes]:
    """The whole table is searched in one go, a line for each symbol."""
    wild = {"*": r"[^\n]*", "?": r"[^\n\x80-\xbf][\x80-\xbf]*"}  # '?' is one character in UTF-8
    parts = (wild.get(part) or re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile(f"^{''.join(parts)}$".encode(), re.MULTILINE)


def fits(instrument: Instrument, key: Match) -> bool:
    """Whether an instrument meets what a match says without a day or a price: fixed columns and ranges."""
    expiry, strike = key.expiry, key.strike
    return (
        all(
            not wanted or getattr(instrument, column) in wanted
            for column, wanted in (("exchange", key.exchange), *((c, getattr(key, c)) for c in _STATIC))
        )
        and (expiry is None or _is_between(instrument.expiry, expiry))
        and (
            strike is None
            or (
                instrument.instrument_type in _OPTIONS
                and (strike.lowest or 0.0) <= instrument.strike
                and (strike.highest is None or instrument.strike <= strike.highest)
            )
        )
    )


def _static(listing: Listing, key: Match) -> Sequence[int]:
    """The rows that the fixed columns let through, the narrowest column first."""
    rows: Sequence[int] = (
        [row for exchange in key.exchange for row in listing.beginning(f"{exchange}:")]
        if key.exchange
        else range(len(listing))
    )
    for column in ("name", "segment", "instrument_type"):
        if wanted := getattr(key, column):
            rows = listing.having(column, wanted, rows)
    return rows


def _is_between(expiry: str, wanted: Expiry) -> bool:
    return bool(expiry) and (wanted.first or "") <= expiry and (wanted.last is None or expiry <= wanted.last)


def _in_expiry(listing: Listing, rows: Sequence[int], wanted: Expiry | None, today: str) -> list[int]:
    """The rows that have not expired, and whose expiry is one of those that are wanted."""
    dated = [(row, listing.value("expiry", row)) for row in rows]
    if wanted is None:
        return [row for row, expiry in dated if not expiry or expiry >= today]
    dated = [(row, expiry) for row, expiry in dated if expiry >= today and _is_between(expiry, wanted)]
    if wanted.pick is None:
        return [row for row, _ in dated]
    expiries: dict[tuple[str, str, bool], set[str]] = {}
    families = [_family(listing, row) for row, _ in dated]
    for family, (_, expiry) in zip(families, dated, strict=True):
        expiries.setdefault(family, set()).add(expiry)
    place = 0 if wanted.pick == "nearest" else 1
    picked = {family: sorted(all_of)[place : place + 1] for family, all_of in expiries.items()}
    return [row for family, (row, expiry) in zip(families, dated, strict=True) if expiry in picked[family]]


def _family(listing: Listing, row: int) -> tuple[str, str, bool]:
    """What has a nearest expiry of its own: options of an underlying may end each week, its futures each month."""
    return listing.exchange(row), listing.value("name", row), _is_option(listing, row)


def _is_option(listing: Listing, row: int) -> bool:
    return listing.value("instrument_type", row) in _OPTIONS


# -- round the money ----------------------------------------------------------------------------------------


def _between_strikes(listing: Listing, rows: Iterable[int], wanted: Strike) -> list[int]:
    """The options among the rows whose strikes lie in the range."""
    low = wanted.lowest or 0.0
    high = float("inf") if wanted.highest is None else wanted.highest
    return [row for row in rows if _is_option(listing, row) and low <= listing.strike(row) <= high]


def _chains(listing: Listing, rows: Iterable[int], today: str, said: str | None) -> Iterator[Strikes]:
    found: dict[Chain, dict[float, list[int]]] = {}
    for row in rows:
        chain = (listing.exchange(row), listing.value("name", row), listing.value("expiry", row))
        found.setdefault(chain, {}).setdefault(listing.strike(row), []).append(row)
    find = Underlyings(listing, today, said)
    for chain, by_strike in sorted(found.items(), key=itemgetter(0)):
        yield Strikes(chain, find(chain[0], chain[1]), sorted(by_strike), by_strike)


def recentre(strikes: Sequence[float], price: float, held: float | None) -> float:
    """The strike in the middle: the one held, while the price is near enough to it, else the nearest.

    Args:
        strikes: distinct, in order, at least one.
        price: the underlying's.
        held: the middle so far.
    """
    nearest = min(strikes, key=lambda strike: (abs(strike - price), strike))
    if held is None or held == nearest or held not in strikes:
        return nearest
    place = bisect_left(strikes, held)
    neighbour = strikes[min(place + 1, len(strikes) - 1)] if price > held else strikes[max(place - 1, 0)]
    return held if abs(price - held) <= HYSTERESIS * abs(neighbour - held) else nearest


def window(strikes: Sequence[float], middle: float, count: int) -> Sequence[float]:
    """So many strikes round the middle one; where the chain ends on one side, more of the other."""
    first = bisect_left(strikes, middle) - (count - 1) // 2
    first = max(0, min(first, len(strikes) - count))
    return strikes[first : first + count]
