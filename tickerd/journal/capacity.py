"""How long the journal's limits last: plain arithmetic on the size of a tick."""

from tickerd.journal.files import Room
from tickerd.journal.retention import Rules

TICK_BYTES = 196
"""A full packet of 184 bytes, its length, and its share of a record of one network read."""


def hours_that_fit(rules: Rules, room: Room, ticks_per_s: float) -> float:
    """Hours of uncompressed journal before the oldest has to go; infinite when there are no limits or no ticks.

    Args:
        rules: the limits.
        room: of the file system, with what the journal has already counted as free.
        ticks_per_s: full ticks that come in.
    """
    most = rules.most(room)
    limits = [] if most is None else [most]
    if rules.min_free is not None:
        limits.append(max(0, room.free - rules.min_free))
    if not limits or ticks_per_s <= 0:
        return float("inf")
    return min(limits) / (ticks_per_s * TICK_BYTES) / 3600
