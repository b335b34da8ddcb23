"""A WebSocket sink with the Kite face on a real socket, over a stream that a test makes, and foreign clients."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tickerd.plugin import Batch, Instrument, Mode, Principal
from tickerd.testing import FakeServingContext, running
from tickerd.wire.kite import KITE, frame
from tickerd_plugins.websocket import WebsocketSink
from tickerd_plugins.websocket.kite_face import KiteFace
from tickerd_plugins.websocket.options import WebsocketOptions
from tickerd_plugins.websocket.server import Server

ADDRESS = "127.0.0.1:7800"
KEY = "tkd_live_3kTMd5lGqkYh_a+b/c=d"
INFY, NIFTY = Instrument("kite", 408_065, "NSE", "INFY"), Instrument("kite", 256_265, "NSE", "NIFTY 50")
PRINCIPALS = {
    KEY: Principal(id="key 3kTMd5lGqkYh", scopes=frozenset({"ticks:read"})),
    "narrow": Principal(id="key narrow", scopes=frozenset({"ticks:read:BSE"})),
    "useless": Principal(id="key useless", scopes=frozenset({"status:read"})),
}


class Served:
    """The sink while it runs."""

    def __init__(self, ctx: FakeServingContext, sink: WebsocketSink) -> None:
        self.ctx = ctx
        assert sink._server is not None
        self.server: Server = sink._server
        (self.face,) = (face for face in self.server._faces if isinstance(face, KiteFace))
        self.port: int = ctx.listening[ADDRESS].socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}"

    def publish(self, batch: Batch) -> None:
        """As a source would."""
        self.ctx.publish(batch)

    def tick(self, *packets: bytes) -> None:
        """Publish one frame of the broker's."""
        self.publish(Batch.read(KITE, frame.join(packets), connection=1, ts_recv=1))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that a client brings about."""
        with trio.fail_after(20):
            while not condition():
                await trio.sleep(0.01)

    def modes(self) -> list[dict[int, Mode]]:
        """What each client wants."""
        return [client.wants.modes for client in self.face._feed.clients]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """``async with serve(max_instruments=3) as served``."""

    @asynccontextmanager
    async def serve(**options: Any) -> AsyncIterator[Served]:
        ctx = FakeServingContext(tmp_path, "stream")
        ctx.instruments.load([INFY, NIFTY])
        ctx.principals |= PRINCIPALS
        values = {
            "listen": ADDRESS,
            "auth": ("keys",),
            "drain": 0,
            "release_after": 0,
            "kite_compatible": options,
        }
        sink = WebsocketSink(WebsocketOptions.model_validate(values))
        try:
            async with running(sink, ctx):
                yield Served(ctx, sink)
        finally:
            await ctx.aclose()

    return serve
