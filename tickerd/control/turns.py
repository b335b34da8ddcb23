"""Keeps many requests at a time from taking the loop away from the ticks."""

import trio


class Turns:
    """In each round of the loop at most one of those who wait goes on, the first that came.

    A request costs a millisecond or more. Were a hundred begun in one round, whoever reads ticks would get one
    read in a tenth of a second, and a broker drops a client that falls behind.
    """

    def __init__(self) -> None:
        self._next = trio.Lock()

    async def take(self) -> None:
        """Wait until it is one's turn; when nobody waits, everything else has run once."""
        async with self._next:
            await trio.lowlevel.checkpoint()
