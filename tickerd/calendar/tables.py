"""What the calendar is made from, as plain values: hours, days that differ from them, and what is known until when."""

from dataclasses import dataclass
from datetime import date, time
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal

import msgspec

Trading = Literal["none", "morning", "evening", "regular", "unknown"] | tuple["Times", ...]
"""What happens on a day: nothing, half of a day that has a `Hours.split`, the regular hours (on a weekend), trading
at times that are not known, or the given sessions."""


@dataclass(frozen=True, slots=True)
class Times:
    """One stretch of trading: times of day in IST, all on the same day.

    Attributes:
        pre_open: when the opening auction begins to take orders.
        auction: when continuous trading in some instruments ends and their closing auction begins.
        close: when the last instrument stops trading, closing auction included.
        post_close: when trading at the closing price ends.
    """

    open: time
    close: time
    pre_open: time | None = None
    auction: time | None = None
    post_close: time | None = None

    @property
    def in_order(self) -> bool:
        """Whether each time is later than the one before it."""
        steps = (self.pre_open, self.open, self.auction, self.close, self.post_close)
        given = [step for step in steps if step is not None]
        return all(one < two for one, two in pairwise(given))


@dataclass(frozen=True, slots=True)
class Hours:
    """Regular hours of some exchanges, on working days from ``since`` to ``until``, both included.

    Attributes:
        split: where the day is cut into a morning and an evening session that can be closed one by one.
        us_winter_close: the close while New York is not on daylight saving time; None when it is the same.
        source: where it was read.
        assumption: what of it nobody published.
    """

    exchanges: tuple[str, ...]
    times: Times
    since: date = date.min
    until: date = date.max
    split: time | None = None
    us_winter_close: time | None = None
    source: str = ""
    assumption: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """One day on which some exchanges do not keep their regular week."""

    date: date
    exchanges: tuple[str, ...]
    name: str
    trading: Trading
    source: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """The days, both included, for which the holidays of some exchanges are known."""

    exchanges: tuple[str, ...]
    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the owner says. A day stands in place of a built-in one; hours win over built-in hours.

    Attributes:
        known_until: until when the owner's holidays are complete, for every exchange.
    """

    hours: tuple[Hours, ...] = ()
    days: tuple[Day, ...] = ()
    known_until: date | None = None


@dataclass(frozen=True, slots=True)
class Tables:
    """The built-in data.

    Attributes:
        sources: name of a source → what it is, and when it was read.
    """

    format: Literal[1]
    version: str
    sources: dict[str, str]
    known: tuple[Known, ...]
    hours: tuple[Hours, ...]
    days: tuple[Day, ...]


@cache
def built_in() -> Tables:
    """The data that ships with tickerd; read once."""
    data = files("tickerd.calendar").joinpath("data", "india.json").read_bytes()
    return msgspec.json.decode(data, type=Tables)
