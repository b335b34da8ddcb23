"""Reads the Retry-After header. Pure."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_S = 3600.0
_NONSENSE_S = 31 * 86_400.0

_SECONDS = re.compile(r"[0-9]{1,18}")


def seconds(value: str, now_s: float) -> float | None:
    """How long to wait by a Retry-After header, one hour at most; None when it says nothing sensible.

    Args:
        now_s: seconds since 1970 UTC, for the header's other form, a date.
    """
    value = value.strip()
    wait = float(value) if _SECONDS.fullmatch(value) else _until(value, now_s)
    return None if wait is None or not 0 <= wait <= _NONSENSE_S else min(wait, LONGEST_S)


def _until(value: str, now_s: float) -> float | None:
    if len(value) > 64:
        return None
    try:
        when = parsedate_to_datetime(value)
        return when.replace(tzinfo=when.tzinfo or UTC).timestamp() - now_s
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
