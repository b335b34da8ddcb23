"""The Kite-compatible endpoint: what the broker's own clients connect to when only their ``root`` is changed."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import trio

from tickerd.plugin import Batch, Credential
from tickerd.plugin.scopes import TICKS
from tickerd_plugins.websocket import frames
from tickerd_plugins.websocket.connection import Connection, Gone
from tickerd_plugins.websocket.face import Admitted, Asking, Refused
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_feed import KiteFeed
from tickerd_plugins.websocket.kite_options import KiteOptions
from tickerd_plugins.websocket.kite_query import credential
from tickerd_plugins.websocket.shared import Shared

HEARTBEAT = frames.binary(b"\0")
HEARTBEAT_S = 1.0
_QUIET_S = 0.5
"""Without a frame for so long it is sent one; looked at every `HEARTBEAT_S`."""
_HINT_S = 60.0
_WRITES = 16
_READ_RATE = 2**20
"""Bytes a second that are read of one client: what it asks for costs the others time."""


class KiteFace:
    """See `tickerd_plugins.websocket.face.Face`.

    Upstream may come and go: the clients hear heartbeats and stay. Text messages go to whoever may see everything.
    """

    name = "kite"
    max_message = 2**18
    drain_code = 1001

    def __init__(self, options: KiteOptions, shared: Shared) -> None:
        self._options = options
        self._ctx = shared.ctx
        self._hinted_at = -math.inf
        self._feed = KiteFeed(shared.ctx, shared.wants, orders=options.orders)

    def answers(self, path: str) -> bool:
        """At its path and at ``/``, which is what the clients ask for when their ``root`` has none."""
        return (path.rstrip("/") or "/") in ("/", self._options.path)

    async def admit(self, asking: Asking) -> Admitted:
        """As the broker does: 403 for whatever is wrong with the key."""
        text = credential(asking.query)
        request = asking.request
        if text is not None:
            request = replace(request, credential=Credential(text, "query"))
        wait = self._ctx.blocked(request)
        if wait is not None:
            raise Refused(
                429, "too many wrong keys from this address", retry_after=round(wait.retry_after_s) + 1
            )
        principal = await self._ctx.authenticate(request)
        if principal is None or not self._ctx.authorize(principal, TICKS):
            self._hint()
            raise Refused(403, "Forbidden")
        return Admitted(principal=principal)

    def _hint(self) -> None:
        """Clients are told nothing, so that the log has to: most often it is the configuration."""
        if trio.current_time() - self._hinted_at >= _HINT_S:
            self._hinted_at = trio.current_time()
            self._ctx.log.warning(
                "kite client refused",
                hint="an authenticator of this listener must accept keys in the query (accept: [query]), and the key "
                f"have the scope {TICKS}",
            )

    async def serve(self, connection: Connection, admitted: Admitted) -> None:
        """Read what one client asks for, until it is gone."""
        assert admitted.principal is not None
        client = KiteClient(connection, admitted.principal, self._options.max_instruments)
        connection.cleared = client.catch_up
        self._feed.join(client)
        try:
            with suppress(Gone):
                while True:
                    message = await connection.receive()
                    await self._feed.ask(client, message)
                    await trio.sleep(len(message) / _READ_RATE)
        finally:
            self._feed.leave(client)

    async def distribute(self, batches: Sequence[Batch]) -> None:
        """Hand on what was published."""
        await self._feed.distribute(batches)

    async def drain(self, connection: Connection) -> None:
        """The clients know no farewell."""
        del connection
        await trio.lowlevel.checkpoint()

    async def run(self) -> None:
        """What is done for all clients together. Never returns."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed.follow)
            while True:
                await trio.sleep(HEARTBEAT_S)
                await self._beat()
                await self._feed.refresh()

    async def _beat(self) -> None:
        """JavaScript and Go leave after 5 s of silence, whether or not upstream has anything to say."""
        quiet = trio.current_time() - _QUIET_S
        for written, client in enumerate(tuple(self._feed.clients), 1):
            if client.link.last_sent <= quiet:
                client.link.offer(HEARTBEAT)
            if not written % _WRITES:
                await trio.lowlevel.checkpoint()
