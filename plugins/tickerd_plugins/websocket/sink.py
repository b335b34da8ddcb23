"""The WebSocket sink: one subscription to the stream, handed to every face, and the server that they share."""

from collections.abc import Sequence
from typing import ClassVar

import trio

from tickerd.plugin import Options, Principal, ServingContext, ServingSink, Subscription
from tickerd_plugins.websocket.demand import Wants
from tickerd_plugins.websocket.face import Face
from tickerd_plugins.websocket.kite_face import KiteFace
from tickerd_plugins.websocket.options import WebsocketOptions
from tickerd_plugins.websocket.server import Server
from tickerd_plugins.websocket.shared import Shared
from tickerd_plugins.websocket.v1 import StreamFace

BUFFER = 2**25
"""Bytes that may wait for the distributor; beyond that all clients are told of a gap."""
TICKS = 2_000
"""Handed on in one go: so long others wait for their turn."""
PAUSE_S = 0.001
"""Between two rounds when it is busy: what comes in between goes out in one frame."""


class WebsocketSink(ServingSink):
    """See the README."""

    Options: ClassVar[type[Options]] = WebsocketOptions

    def __init__(self, options: WebsocketOptions) -> None:
        self._options = options
        self._server: Server | None = None

    async def run(  # noqa: ASYNC128 - the server says when it listens
        self, ctx: ServingContext, *, task_status: trio.TaskStatus[None]
    ) -> None:
        """See `ServingSink.run`."""
        wants = Wants(ctx.want, self._options.release_after)
        with ctx.subscribe(overflow="drop_oldest", buffer=BUFFER) as (joined, subscription):
            faces = self._faces(Shared(ctx, wants, self._options, joined, self._farewell))
            server = self._server = Server(ctx, self._options, faces)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_distribute, subscription, faces)
                nursery.start_soon(wants.release)
                for face in faces:
                    nursery.start_soon(face.run)
                await server.run(task_status=task_status)
                nursery.cancel_scope.cancel()

    def _faces(self, shared: Shared) -> Sequence[Face]:
        faces: list[Face] = [StreamFace(shared)]
        if self._options.kite_compatible is not None:
            faces.append(KiteFace(self._options.kite_compatible, shared))
        return faces

    def _farewell(self, principal: Principal) -> str | None:
        return None if self._server is None else self._server.farewell(principal)


async def _distribute(subscription: Subscription, faces: Sequence[Face]) -> None:
    """Hand on what is published: at once when nothing was for a moment, else about every millisecond."""
    while True:
        try:
            batches = await subscription.receive_batches(TICKS)
        except trio.EndOfChannel:
            return
        for face in faces:
            await face.distribute(batches)
        await trio.sleep(PAUSE_S)
