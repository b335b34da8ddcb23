"""How long to wait before the next try: doubling, capped, with full jitter. Pure."""

from collections.abc import Callable


def backoff(attempt: int, *, initial: float, cap: float, random: Callable[[], float]) -> float:
    """Seconds to wait before try number ``attempt`` (1 is the first retry).

    Full jitter spreads clients that failed together; the floor of a tenth keeps a lucky draw from hammering.

    Args:
        attempt: counts from 1; anything larger only stays at the cap.
        initial: the longest first wait, in seconds.
        cap: the longest wait, in seconds.
        random: gives a float in [0, 1), for example ``random.random``.
    """
    longest = min(cap, initial * 2.0 ** min(attempt - 1, 62))
    return longest * (0.1 + 0.9 * random())
