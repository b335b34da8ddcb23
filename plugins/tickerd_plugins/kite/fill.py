"""After a reconnect asks REST for quotes of the instruments that sent nothing, and publishes them as snapshots."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from tickerd.plugin import SNAPSHOT, Batch, Mode, Retry, SourceContext
from tickerd.wire.kite import KITE
from tickerd.wire.kite.frame import join
from tickerd_plugins.kite.quotes import Asked, as_packet, calls
from tickerd_plugins.kite.session import Session

ReadQuotes = Callable[[Sequence[str], Mode], Awaitable[Mapping[str, Any]]]
"""What the broker knows of these symbols, by symbol; raises `Retry`."""

AFTER_S = 5.0
"""Seconds that the broker has for its own snapshots, once everything is subscribed."""


class Fill:
    """Does it once for a socket.

    Args:
        read: see `ReadQuotes`.
    """

    def __init__(self, ctx: SourceContext, read: ReadQuotes) -> None:
        self._ctx = ctx
        self._read = read

    async def run(self, session: Session) -> None:
        """Fill what is quiet on this socket; cancelled when that ends. What cannot be had is left out."""
        await session.settled()
        await trio.sleep(AFTER_S)
        try:
            for call in calls(self._asked(session)):
                await self._fill(session, [one for one in call if session.is_quiet(one.token)])
        except Retry as error:
            self._ctx.count("quotes_failed")
            self._ctx.log.warning("cannot fill in quotes after the reconnect", error=str(error))

    def _asked(self, session: Session) -> list[Asked]:
        """Those that have a name by which REST knows them."""
        table = self._ctx.instruments
        wanted = session.wanted
        return [
            Asked(token, known.symbol, wanted[token])
            for token in session.unconfirmed
            if token in wanted and (known := table.get(token)) is not None and known.exchange
        ]

    async def _fill(self, session: Session, call: Sequence[Asked]) -> None:
        if not call:
            return
        given = await self._read([one.symbol for one in call], call[0].mode)
        packets: list[bytes] = []
        for one in call:
            # what has come meanwhile is newer
            if one.symbol not in given or not session.is_quiet(one.token):
                continue
            found = as_packet(one, given[one.symbol])
            if found is None:
                self._ctx.count("quotes_unusable")
            else:
                packets.append(found)
        if packets:
            now_ns = self._ctx.clock.now_ns()
            batch = Batch.read(KITE, join(packets), connection=session.number, ts_recv=now_ns)
            batch.marks = dict.fromkeys(range(len(packets)), SNAPSHOT)
            self._ctx.publish(batch)
            self._ctx.count("quotes_filled", len(packets))
