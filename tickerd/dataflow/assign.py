"""Which source brings an instrument that several could bring. Pure."""

from collections.abc import Sequence
from typing import NamedTuple


class Seat(NamedTuple):
    """One source that could bring an instrument."""

    source: str
    lists: bool = False
    """Its YAML lists the instrument."""
    carries: bool = False
    """It brings the instrument already."""
    room: bool = True
    """It has room for one more."""


def assign_source(seats: Sequence[Seat]) -> str | None:
    """The source whose YAML lists the instrument, else the one that carries it, else the first with room.

    A list in the YAML is kept even where there is no room: the source then says what is left out. None: no room.

    Args:
        seats: the sources that it is wanted of, in their order.
    """
    for fitting in (
        lambda seat: seat.lists and seat.carries,
        lambda seat: seat.lists,
        lambda seat: seat.carries,
        lambda seat: seat.room,
    ):
        found = next(filter(fitting, seats), None)
        if found is not None:
            return found.source
    return None
