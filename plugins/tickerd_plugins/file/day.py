"""The day that ``{date}`` means: from 06:00 IST to 06:00 IST, named by the IST date on which it begins."""

from datetime import date

_SECOND = 10**9
_DAY = 86_400 * _SECOND
_SHIFT = (5 * 3600 + 1800 - 6 * 3600) * _SECOND
"""From UTC to IST (+05:30, no summer time), and back by the six hours at which the day begins."""
_FIRST = date(1970, 1, 1).toordinal()
_LAST = date.max.toordinal()


def day_of(ts_ns: int) -> int:
    """The day of a moment, as a running number; nanoseconds since 1970 UTC."""
    return (ts_ns + _SHIFT) // _DAY


def day_name(day: int) -> str:
    """``YYYY-MM-DD``. A moment that no calendar has counts for the first or last day there is."""
    return date.fromordinal(min(max(_FIRST + day, 1), _LAST)).isoformat()


def day_end(name: str) -> int:
    """When the day of that name is over, in nanoseconds since 1970 UTC.

    Raises:
        ValueError: no such date.
    """
    return (date.fromisoformat(name).toordinal() - _FIRST + 1) * _DAY - _SHIFT
