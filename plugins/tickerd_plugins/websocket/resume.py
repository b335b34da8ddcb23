"""Catching up: every tick since a position, out of memory or the journal, and then the stream without a hole."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import trio

from tickerd.plugin import Batch, Gap, History, Mode, Position
from tickerd_plugins.websocket.backlog import Overtaken, Recent
from tickerd_plugins.websocket.client import Client, Held
from tickerd_plugins.websocket.groups import Ident, Row, bodies, encode
from tickerd_plugins.websocket.lane import Lane
from tickerd_plugins.websocket.notices import gap_notice

if TYPE_CHECKING:
    from tickerd_plugins.websocket.v1 import StreamFace

NEAR = 20_000
"""So few positions from the end, what comes new waits until the rest was read."""
READ = 2_000
"""Ticks at a time."""


class Resumption:
    """Sends one client what it missed.

    Args:
        face: of the client.
        client: who comes back.
        lane: on which it is sent everything.
        items: what it wants.
        history: after the position at which it was.
    """

    def __init__(
        self,
        face: "StreamFace",
        client: Client,
        lane: Lane,
        items: Mapping[Ident, Held],
        history: History,
    ) -> None:
        self._face = face
        self._client = client
        self._lane = lane
        self._items = items
        self._history = history
        self._modes: dict[Ident, Mode] = {ident: one.mode for ident, one in items.items()}
        self._seen = history.at

    async def run(self) -> None:
        """Read until it is near the end; then let what comes new wait, read the rest, and send both."""
        try:
            await self._catch_up()
        except Overtaken:
            self._client.evict()

    async def _catch_up(self) -> None:
        while self._far(self._face.ctx.position):
            await self._send_until(self._face.ctx.position)
        self._lane.held = True
        try:
            joined = Position(self._face.ctx.position.epoch, self._face.groups.position)
            self._client.take(
                self._lane, self._items.items(), floor=max(joined.seq, self._sent_of(joined.epoch))
            )
            while self._history.at < joined:
                await self._send_until(joined)
        finally:
            self._lane.held = False
        await self._client.connection.room()
        self._lane.catch_up()

    def _far(self, end: Position) -> bool:
        at = self._history.at
        return at.epoch < end.epoch or end.seq - at.seq > NEAR

    def _sent_of(self, epoch: int) -> int:
        return self._history.at.seq if self._history.at.epoch == epoch else 0

    async def _send_until(self, until: Position) -> None:
        rows: list[Row] = []
        epoch = 0
        for batch in await self._history.read(until, READ):
            gaps = [record for record in batch.records if isinstance(record, Gap)]
            hole = self._hole(batch)
            if rows and (gaps or hole or batch.last.epoch != epoch):
                await self._send(rows, epoch)
                rows = []
            epoch = batch.last.epoch
            for notice in (*hole, *map(gap_notice, gaps)):
                self._client.tell_gap(**notice)
            rows += encode(self._client.encoding, batch, self._modes, self._face.groups)
        if rows:
            await self._send(rows, epoch)
        await trio.lowlevel.checkpoint()

    async def _send(self, rows: Sequence[Row], epoch: int) -> None:
        for body in bodies(self._client.encoding, rows):
            await self._client.connection.room()
            self._client.show("ticks", body, epoch=epoch)

    def _hole(self, batch: Batch) -> Sequence[dict[str, Any]]:
        """What the journal lost, or what was deleted while it was read."""
        first = batch.last.seq - len(batch) + 1
        at, self._seen = self._seen, max(self._seen, batch.last)
        if isinstance(self._history, Recent) or at.epoch != batch.last.epoch or not at.seq + 1 < first:
            return ()
        lost = {"since": at.seq + 1, "until": first - 1, "dropped": first - at.seq - 1}
        return ({"reason": "server", "detail": "journal", "epoch": at.epoch, **lost},)
