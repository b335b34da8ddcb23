"""Answers when an exchange trades. Pure: the time comes in, nothing is read or changed."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from tickerd.calendar.tables import Day, Hours, Overrides, Tables, Times, built_in

MarketState = Literal["open", "pre_open", "closed", "holiday", "unknown"]
EventKind = Literal["pre_open", "open", "close", "end_of_day"]

SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
IST_NS = 19_800 * SECOND_NS
"""India is 5 h 30 min ahead of UTC, always."""
LOOK_AHEAD_NS = 40 * DAY_NS
"""How far the next change is looked for."""

_EPOCH = date(1970, 1, 1).toordinal()
_SATURDAY = 5
_NEVER = (date.min, date.min)
_NEW_YORK = ZoneInfo("America/New_York")
_ORDER: tuple[EventKind, ...] = ("pre_open", "open", "close", "end_of_day")


class Session(NamedTuple):
    """One stretch of trading, in nanoseconds since 1970 UTC; see `Times`."""

    open_ns: int
    close_ns: int
    pre_open_ns: int | None
    auction_ns: int | None
    post_close_ns: int | None


@dataclass(frozen=True, slots=True)
class Sessions:
    """What one exchange does on one day.

    Attributes:
        sessions: in order of time; empty when it does not trade, or nobody knows when.
        kind: why it is so: the regular hours, a shortened or special day, a holiday, a weekend, or not known.
        name: of the holiday or special day; empty on others.
        assumed: the day lies outside of what is known, so that a holiday may have been missed.
    """

    exchange: str
    date: date
    sessions: tuple[Session, ...]
    kind: Literal["regular", "special", "holiday", "weekend", "unknown"]
    name: str = ""
    assumed: bool = False

    @property
    def end_ns(self) -> int | None:
        """When the last session is over, trading at the closing price included."""
        return max((one.post_close_ns or one.close_ns for one in self.sessions), default=None)


class Event(NamedTuple):
    """Something that changes at one moment, in nanoseconds since 1970 UTC."""

    at_ns: int
    exchange: str
    kind: EventKind


class State(NamedTuple):
    """What one exchange does at one moment.

    Attributes:
        reason: in words, for people.
        next: the next change (never an end of day); None when none is known within 40 days.
        assumed: see `Sessions.assumed`.
    """

    state: MarketState
    reason: str
    next: Event | None
    assumed: bool


class Calendar:
    """The built-in data and what the owner has put over it.

    It says what is known and marks what is assumed. Nothing may be stopped because of it.
    """

    def __init__(self, tables: Tables, overrides: Overrides) -> None:
        self.version = tables.version
        self._hours: dict[str, list[Hours]] = {}
        for hours in (*tables.hours, *overrides.hours):
            for exchange in hours.exchanges:
                self._hours.setdefault(exchange, []).append(hours)
        self._days = _by_day(tables.days) | _by_day(overrides.days)
        self._known = {name: (one.since, one.until) for one in tables.known for name in one.exchanges}
        self._known_until = overrides.known_until or date.min

    @classmethod
    def load(cls, overrides: Overrides | None = None) -> "Calendar":
        """The calendar that ships with tickerd, with the owner's changes."""
        return cls(built_in(), overrides or Overrides())

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Those whose hours are known."""
        return tuple(self._hours)

    def known_until(self, exchange: str) -> date | None:
        """The last day for which its holidays are known; None for an exchange without any."""
        if exchange not in self._hours:
            return None
        until = max(self._known.get(exchange, _NEVER)[1], self._known_until)
        return None if until == date.min else until

    def hours(self, exchange: str, day: date) -> Sessions:
        """What an exchange does on a day."""
        regular = self._regular(exchange, day)
        note = self._days.get((exchange, day))
        if regular is None:
            return Sessions(exchange, day, (), "unknown", assumed=True)
        if note is not None:
            return _noted(exchange, day, note, regular)
        assumed = not self._is_known(exchange, day)
        if day.weekday() >= _SATURDAY:
            return Sessions(exchange, day, (), "weekend", assumed=assumed)
        return Sessions(exchange, day, (_session(day, _times(regular, day)),), "regular", assumed=assumed)

    def state(self, exchange: str, at_ns: int) -> State:
        """What an exchange does at a moment, why, and what comes next."""
        today = self.hours(exchange, day_of(at_ns))
        state, reason = _judged(today, at_ns)
        changes = (
            event
            for event in self.events_between(at_ns, at_ns + LOOK_AHEAD_NS, (exchange,))
            if event.kind != "end_of_day"
        )
        return State(state, reason, next(changes, None), today.assumed)

    def events_between(
        self, after_ns: int, until_ns: int, exchanges: Collection[str] | None = None
    ) -> Iterator[Event]:
        """Everything that changes later than ``after_ns`` and no later than ``until_ns``, in order.

        Args:
            after_ns: exclusive, so that consecutive calls tell each event once.
            until_ns: inclusive.
            exchanges: only these; all when left out.
        """
        if until_ns <= after_ns:
            return
        names = [name for name in self._hours if exchanges is None or name in exchanges]
        last = day_of(until_ns)
        day = day_of(after_ns)
        while day <= last:
            found = [event for name in names for event in _events(self.hours(name, day))]
            for event in sorted(found, key=_rank):
                if after_ns < event.at_ns <= until_ns:
                    yield event
            day += timedelta(days=1)

    def _is_known(self, exchange: str, day: date) -> bool:
        since, until = self._known.get(exchange, _NEVER)
        return since <= day <= max(until, self._known_until)

    def _regular(self, exchange: str, day: date) -> Hours | None:
        """The hours in force: of those that cover the day, the last one that was said."""
        rows = self._hours.get(exchange, ())
        return next((row for row in reversed(rows) if row.since <= day <= row.until), None)


def day_of(at_ns: int) -> date:
    """The date in India at a moment."""
    return date.fromordinal((at_ns + IST_NS) // DAY_NS + _EPOCH)


def moment(day: date, at: time) -> int:
    """A time of day in India, in nanoseconds since 1970 UTC."""
    seconds = (at.hour * 60 + at.minute) * 60 + at.second
    return (day.toordinal() - _EPOCH) * DAY_NS - IST_NS + seconds * SECOND_NS


def _by_day(days: Iterable[Day]) -> dict[tuple[str, date], Day]:
    """One note for each exchange and date."""
    found: dict[tuple[str, date], Day] = {}
    for day in days:
        for exchange in day.exchanges:
            key = (exchange, day.date)
            found[key] = _combined(found[key], day) if key in found else day
    return found


def _combined(one: Day, two: Day) -> Day:
    """Two notes on the same day: sessions add up, and win over a closure."""
    if isinstance(one.trading, tuple) and isinstance(two.trading, tuple):
        return replace(two, trading=tuple(sorted((*one.trading, *two.trading), key=lambda part: part.open)))
    return one if two.trading in ("none", "morning", "evening") else two


def _noted(exchange: str, day: date, note: Day, regular: Hours) -> Sessions:
    """A day that is a holiday, shortened or special."""
    if note.trading == "none":
        return Sessions(exchange, day, (), "holiday", note.name)
    if note.trading == "unknown":
        return Sessions(exchange, day, (), "unknown", note.name)
    if isinstance(note.trading, tuple):
        parts = note.trading
    else:
        times = _times(regular, day)
        halves = {"morning": _morning(times, regular.split), "evening": _evening(times, regular.split)}
        parts = (halves.get(note.trading, times),)
    return Sessions(exchange, day, tuple(_session(day, part) for part in parts), "special", note.name)


def _times(regular: Hours, day: date) -> Times:
    if regular.us_winter_close is None or _is_us_summer(day):
        return regular.times
    return replace(regular.times, close=regular.us_winter_close)


@lru_cache(maxsize=64)
def _is_us_summer(day: date) -> bool:
    """Whether New York is on daylight saving time; it changes on Sundays, in the night."""
    return bool(datetime.combine(day, time(12), _NEW_YORK).dst())


def _morning(times: Times, split: time | None) -> Times:
    return times if split is None else replace(times, close=split, auction=None, post_close=None)


def _evening(times: Times, split: time | None) -> Times:
    return times if split is None else replace(times, open=split, pre_open=None)


def _session(day: date, times: Times) -> Session:
    optional = (times.pre_open, times.auction, times.post_close)
    pre_open, auction, post_close = (None if at is None else moment(day, at) for at in optional)
    return Session(moment(day, times.open), moment(day, times.close), pre_open, auction, post_close)


def _events(day: Sessions) -> Iterator[Event]:
    for session in day.sessions:
        if session.pre_open_ns is not None:
            yield Event(session.pre_open_ns, day.exchange, "pre_open")
        yield Event(session.open_ns, day.exchange, "open")
        yield Event(session.close_ns, day.exchange, "close")
    if day.end_ns is not None:
        yield Event(day.end_ns, day.exchange, "end_of_day")


def _rank(event: Event) -> tuple[int, int, str]:
    return (event.at_ns, _ORDER.index(event.kind), event.exchange)


def _judged(today: Sessions, at_ns: int) -> tuple[MarketState, str]:
    """The state at a moment of that day, and why."""
    if today.kind == "unknown":
        if today.name:
            return "unknown", f"{today.name}: the times are not in the calendar"
        return "unknown", f"the calendar has no hours for the exchange {today.exchange!r}"
    if today.kind == "holiday":
        return "holiday", today.name
    if today.kind == "weekend":
        return "closed", "weekend"
    state, reason = _within(today.sessions, at_ns)
    return state, f"{today.name}: {reason}" if today.name else reason


def _within(sessions: tuple[Session, ...], at_ns: int) -> tuple[MarketState, str]:
    for session in sessions:
        if at_ns < (session.open_ns if session.pre_open_ns is None else session.pre_open_ns):
            return "closed", "before the open" if session is sessions[0] else "between two sessions"
        if at_ns < session.open_ns:
            return "pre_open", "opening auction"
        if session.auction_ns is not None and session.auction_ns <= at_ns < session.close_ns:
            return "open", "closing auction"
        if at_ns < session.close_ns:
            return "open", "trading"
        if session.post_close_ns is not None and at_ns < session.post_close_ns:
            return "closed", "trading at the closing price"
    return "closed", "after the close"
