"""The market's day, which ``{date}`` means: 06:00 IST to 06:00 IST, named by the IST date on which it begins."""

from datetime import date

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_SHIFT = (5 * 3600 + 1800 - 6 * 3600) * _SECOND
"""From UTC to IST (+05:30, no summer time), and back by the six hours at which the day begins."""
_FIRST = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal()


def day_number(ts_ns: int) -> int:
    """The day of a moment, as a running number; nanoseconds since 1970 UTC."""
    return (ts_ns + _SHIFT) // _DAY


def day_of(ts_ns: int) -> date:
    """The day of a moment. One that no calendar has counts for the first or last day there is."""
    return _date(day_number(ts_ns))


def day_name(number: int) -> str:
    """``YYYY-MM-DD`` of what `day_number` gave."""
    return _date(number).isoformat()


def _date(number: int) -> date:
    return date.fromordinal(min(max(_FIRST + number, 1), _LAST))


def day_end(name: str) -> int:
    """When the day of that name is over, in nanoseconds since 1970 UTC.

    Raises:
        ValueError: no such date.
    """
    return (date.fromisoformat(name).toordinal() - _FIRST + 1) * _DAY - _SHIFT


def next_roll_ns(ts_ns: int) -> int:
    """The first moment after this one at which a new day begins."""
    return (day_number(ts_ns) + 1) * _DAY - _SHIFT
