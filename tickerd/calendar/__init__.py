"""The market calendar: when each exchange trades, as far as it is known. It informs; it never stops anything."""

from tickerd.calendar.calendar import Calendar, Event, EventKind, MarketState, Session, Sessions, State
from tickerd.calendar.tables import Day, Hours, Known, Overrides, Tables, Times, Trading, built_in

__all__ = [
    "Calendar",
    "Day",
    "Event",
    "EventKind",
    "Hours",
    "Known",
    "MarketState",
    "Overrides",
    "Session",
    "Sessions",
    "State",
    "Tables",
    "Times",
    "Trading",
    "built_in",
]
