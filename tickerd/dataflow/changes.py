"""Tells followers what changed in a table of wanted instruments since they last looked."""

from collections.abc import AsyncGenerator, Mapping

import trio

from tickerd.plugin import Instrument, Mode

Table = Mapping[int, tuple[Instrument, Mode]]


class _Follower:
    def __init__(self, tokens: set[int]) -> None:
        self.tokens = tokens
        self.ready = trio.Event()


class Changes:
    """Whoever changes the table calls `touch` for each token and `flush` at the end."""

    def __init__(self) -> None:
        self._followers: list[_Follower] = []
        self._touched: set[int] = set()

    def touch(self, token: int) -> None:
        """This one is another, came or went."""
        self._touched.add(token)

    def flush(self) -> None:
        """Wake the followers."""
        if self._touched:
            for follower in self._followers:
                follower.tokens |= self._touched
                follower.ready.set()
            self._touched.clear()

    async def follow(  # noqa: ASYNC900 - what it holds is memory only, and it is closed with the source
        self, table: Table
    ) -> AsyncGenerator[Mapping[Instrument, Mode | None], None]:
        """See `tickerd.plugin.Demand.changes`: first everything, then differences."""
        follower = _Follower(set(table))
        self._followers.append(follower)
        sent: dict[int, tuple[Instrument, Mode]] = {}
        try:
            yield _difference(sent, table, follower)
            while True:
                await follower.ready.wait()
                yield _difference(sent, table, follower)
        finally:
            self._followers.remove(follower)


def _difference(
    sent: dict[int, tuple[Instrument, Mode]], table: Table, follower: _Follower
) -> dict[Instrument, Mode | None]:
    """By token, so that a nameless instrument that got its name is no change; ``sent`` is brought up to date."""
    follower.ready = trio.Event()
    change: dict[Instrument, Mode | None] = {}
    for token in follower.tokens:
        now, before = table.get(token), sent.pop(token, None)
        if now is not None:
            sent[token] = now
        if now is None and before is not None:
            change[before[0]] = None
        elif now is not None and (before is None or before[1] != now[1]):
            change[now[0]] = now[1]
    follower.tokens = set()
    return change
