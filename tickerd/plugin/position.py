"""Where things stand in everything that was ever published."""

from typing import NamedTuple


class Position(NamedTuple):
    """Where a record stands in everything this daemon ever published; compares as a tuple.

    ``epoch`` grows by one at each start of the daemon, ``seq`` begins at 1 in each epoch.
    """

    epoch: int
    seq: int
