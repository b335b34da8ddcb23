"""Finds the instruments that should have ticked and did not, by what each has done before. Pure."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tickerd.observe.picture import Silent
from tickerd.plugin import Instrument

LIQUID_S, OTHERS_S = 24.0, 290.0
"""How long an instrument may be silent; with the time between two looks, told within 30 s and 5 minutes."""
STEADY_S = 10.0
"""An instrument is liquid while it has not paused for longer of late."""
LEARN = 6
"""Looks that saw a new tick, before an instrument can count as liquid."""
_FADE = 0.97
"""A pause is forgotten by this factor with each look that sees a new tick."""
_LONGEST_S = 2 * STEADY_S
"""A longer pause counts as this one, so that an instrument is liquid again soon after an outage."""

Since = int | None
"""In nanoseconds since 1970 UTC; None: not now."""
Heard = tuple[int, int | None] | None
"""When an instrument ticked last and over which connection; None: never."""


class Scene(NamedTuple):
    """What surrounds the instruments at one look."""

    trading: Callable[[str], Since]
    """Since when an exchange trades."""
    fed: Callable[[int | None], Since]
    """Since when a connection is up; for None, of an instrument that never ticked, all of them."""
    heard: Callable[[Instrument], Heard]


class News(NamedTuple):
    """What one look found out."""

    begun: tuple[Silent, ...] = ()
    ended: tuple[str, ...] = ()
    """Instruments that tick again."""


class _Pace:
    """What is known of one instrument."""

    __slots__ = ("last_ns", "learnt", "pause_s", "since_ns", "symbol")

    def __init__(self, symbol: str, since_ns: int, last_ns: int | None) -> None:
        self.symbol = symbol
        self.since_ns = since_ns
        """When it was looked at first."""
        self.last_ns = last_ns
        self.learnt = 0
        self.pause_s = 0.0
        """Its longest pause, fading."""

    def ticked(self, last_ns: int, floor_ns: int) -> None:
        """A look saw a new tick. A pause that began before ``floor_ns`` says nothing of the instrument."""
        if self.last_ns is not None and self.last_ns >= floor_ns:
            pause_s = min((last_ns - self.last_ns) / 1e9, _LONGEST_S)
            self.pause_s = max(pause_s, self.pause_s * _FADE)
            self.learnt += 1
        self.last_ns = last_ns

    @property
    def limit_s(self) -> float:
        return LIQUID_S if self.learnt >= LEARN and self.pause_s <= STEADY_S else OTHERS_S

    def silent(self, now_ns: int, since_ns: int) -> Silent | None:
        """Whether it has been silent for too long, of the time after ``since_ns``."""
        counted_s = (now_ns - max(self.last_ns or 0, since_ns, self.since_ns)) / 1e9
        if counted_s <= self.limit_s:
            return None
        age_s = None if self.last_ns is None else (now_ns - self.last_ns) / 1e9
        return Silent(instrument=self.symbol, age_s=age_s, limit_s=self.limit_s, market="open")


class Silence:
    """Of one source. Costs some lookups for each instrument and look, and keeps a few words for each of them.

    Silence is measured from the last tick, and from no earlier than the opening of the exchange, the coming up
    of the connection, and the first look at the instrument. While an exchange does not trade or the connection
    is down, nothing is found. What had been found is dropped without a word when the exchange closes, and kept
    while the connection is down.
    """

    def __init__(self) -> None:
        self._paces: dict[int, _Pace] = {}
        self._silent: dict[int, tuple[int | None, Silent]] = {}
        """Token → when it ticked last, and what was found."""

    @property
    def silent(self) -> tuple[Silent, ...]:
        """Those that are silent, the first one first, with their ages as of the last look."""
        return tuple(found for _, found in self._silent.values())

    def look(self, now_ns: int, instruments: Iterable[Instrument], scene: Scene) -> News:
        """Look at some of the instruments; call `forget` for those that are not looked at any more."""
        begun: list[Silent] = []
        ended: list[str] = []
        for instrument in instruments:
            pace, connection = self._paced(now_ns, instrument, scene)
            trading, fed = scene.trading(instrument.exchange), scene.fed(connection)
            was = self._silent.get(instrument.token)
            if was is not None and (trading is None or was[0] != pace.last_ns):
                del self._silent[instrument.token]
                if trading is not None:
                    ended.append(pace.symbol)
                was = None
            if trading is None or fed is None:
                continue
            found = pace.silent(now_ns, max(trading, fed))
            if found is not None:
                self._silent[instrument.token] = (pace.last_ns, found)
                if was is None:
                    begun.append(found)
        return News(tuple(begun), tuple(ended))

    def forget(self, wanted: Iterable[int]) -> None:
        """Keep what is known of these tokens alone."""
        kept = frozenset(wanted)
        for token in self._paces.keys() - kept:
            del self._paces[token]
            self._silent.pop(token, None)

    def _paced(self, now_ns: int, instrument: Instrument, scene: Scene) -> tuple[_Pace, int | None]:
        """What is known of it, brought up to date, and its connection."""
        heard = scene.heard(instrument)
        pace = self._paces.get(instrument.token)
        if pace is None or pace.symbol != instrument.symbol:
            pace = self._paces[instrument.token] = _Pace(instrument.symbol, now_ns, heard and heard[0])
            self._silent.pop(instrument.token, None)
        if heard is None:
            return pace, None
        last_ns, connection = heard
        if last_ns != pace.last_ns:
            trading, fed = scene.trading(instrument.exchange), scene.fed(connection)
            floor_ns = last_ns if trading is None or fed is None else max(trading, fed)
            pace.ticked(last_ns, floor_ns)
        return pace, connection
