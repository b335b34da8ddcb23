"""When an access token ends: at 6 AM in India, by the regulator's rule. Pure."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

IST = timezone(timedelta(hours=5, minutes=30), "IST")
ENDS_AT = 6
"""Hour of the day, IST."""
_DAY_NS = 86_400 * 10**9
_OFFSET_NS = 5 * 3600 * 10**9 + 30 * 60 * 10**9

Stage = Literal["unknown", "good", "expiring", "expired"]


def ends(since_ns: int) -> int:
    """When a token of a login at this time ends, both in nanoseconds since 1970 UTC."""
    day_begins = ENDS_AT * 3600 * 10**9 - _OFFSET_NS
    return (since_ns - day_begins) // _DAY_NS * _DAY_NS + day_begins + _DAY_NS


def stage(expires_ns: int | None, now_ns: int, warning_s: float) -> Stage:
    """How a token stands that ends then; None is a token of which nobody knows when it was made."""
    if expires_ns is None:
        return "unknown"
    if now_ns >= expires_ns:
        return "expired"
    return "expiring" if now_ns >= expires_ns - warning_s * 1e9 else "good"


def in_india(ns: int) -> str:
    """A moment in words: ``2026-01-15 06:00 IST``."""
    return f"{datetime.fromtimestamp(ns // 10**9, UTC).astimezone(IST):%Y-%m-%d %H:%M} IST"
