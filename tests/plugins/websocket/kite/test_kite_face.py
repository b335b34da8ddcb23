"""The Kite face on a real socket: who is let in and where, what it answers, and that it beats."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import structlog
import trio
from trio.testing import MockClock
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from tickerd.plugin import Batch, Decision, Limits, Order, Principal
from tickerd_plugins.websocket.kite_client import KiteClient
from tickerd_plugins.websocket.kite_face import HEARTBEAT, KiteFace
from tickerd_plugins.websocket.kite_options import KiteOptions

INFY, NIFTY = 408_065, 256_265
KEY = "tkd_live_3kTMd5lGqkYh_a+b/c=d"

Dial = Callable[..., AbstractAsyncContextManager[WebSocketConnection]]


@pytest.fixture
def dial() -> Dial:
    """``async with dial(served, "/kite") as ws``."""

    @asynccontextmanager
    async def dial(
        served: Any, path: str = "/", query: str = f"api_key=app&access_token={KEY}"
    ) -> AsyncIterator[WebSocketConnection]:
        # the stream is ours to close: trio-websocket's own client leaves it open when it is refused
        async with (
            await trio.open_tcp_stream("127.0.0.1", served.port) as stream,
            trio.open_nursery() as nursery,
        ):
            with trio.fail_after(5):
                ws = await wrap_client_stream(nursery, stream, f"127.0.0.1:{served.port}", f"{path}?{query}")
            yield ws
            with trio.move_on_after(1):
                await ws.aclose()
            nursery.cancel_scope.cancel()

    return dial


def full(token: int, price: int) -> bytes:
    return (token.to_bytes(4) + price.to_bytes(4)).ljust(184, b"\0")


def subscribe(*tokens: int | str) -> str:
    return json.dumps({"a": "subscribe", "v": list(tokens)})


async def message(ws: WebSocketConnection) -> bytes | str:
    """The next one that is no heartbeat."""
    with trio.fail_after(5):
        while (found := await ws.get_message()) == b"\0":
            pass
    return found


@pytest.mark.parametrize("path", ["", "/", "/kite", "/kite/"])
async def test_it_is_found_at_its_path_and_at_the_root(serve, dial: Dial, path: str) -> None:
    async with serve() as served, dial(served, path) as ws:
        served.tick(full(INFY, 1))
        await ws.send_message(subscribe(INFY))
        assert await message(ws) == b"\0\1\0\x2c" + full(INFY, 1)[:44]


@pytest.mark.parametrize("path", ["/kit", "/kite/x", "//kite"])
async def test_it_is_found_nowhere_else(serve, dial: Dial, path: str) -> None:
    async with serve() as served:
        assert not served.face.answers("/v1/stream")
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=lambda e: e.status_code == 404)):
            async with dial(served, path):
                pass


@pytest.mark.parametrize(
    "query",
    [
        f"api_key=app&access_token={KEY}&uid=1795432168910",
        f"access_token={KEY.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}&api_key=app&v=3",
        f"api_key={KEY}&access_token=nothing",
    ],
)
async def test_the_key_is_taken_from_the_query_however_it_is_escaped(serve, dial: Dial, query: str) -> None:
    async with serve() as served, dial(served, "/kite", query):
        (asked,) = served.ctx.requests
        assert asked.credential.origin == "query"
        assert asked.credential.text == KEY


@pytest.mark.parametrize("query", ["", "api_key=app&access_token=wrong", "api_key=app&access_token=useless"])
async def test_who_may_not_is_refused_with_403(serve, dial: Dial, query: str) -> None:
    async with serve() as served:
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=lambda e: e.status_code == 403)):
            async with dial(served, "/kite", query):
                pass
        assert served.server.connections == {}


async def test_the_log_says_now_and_then_what_may_be_wrong(serve, dial: Dial) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve() as served:
            for _ in range(3):
                with pytest.RaisesGroup(ConnectionRejected):
                    async with dial(served, "/kite", "access_token=wrong"):
                        pass
    assert ["accept: [query]" in one["hint"] for one in logs if one["event"] == "kite client refused"] == [
        True
    ]


async def test_an_address_that_tried_too_often_has_to_wait(serve, dial: Dial) -> None:
    def says(error: ConnectionRejected) -> bool:
        return (error.status_code, dict(error.headers)[b"retry-after"]) == (429, b"8")

    async with serve() as served:
        served.ctx.blocks = Decision(False, 0, 60, 7.2)
        with pytest.RaisesGroup(pytest.RaisesExc(ConnectionRejected, check=says)):
            async with dial(served):
                pass
        assert served.ctx.requests == []


async def test_no_key_is_in_any_log(serve, dial: Dial) -> None:
    with structlog.testing.capture_logs() as logs:
        async with serve() as served:
            async with dial(served, "/kite"):
                pass
            for key in ("wrong-secret", "useless"):
                with pytest.RaisesGroup(ConnectionRejected):
                    async with dial(served, "/kite", f"api_key=app&access_token={key}"):
                        pass
            await served.until(lambda: not served.server.connections)
        said = repr(logs) + repr(served.ctx.reports) + repr(served.ctx.requests)
    assert "3kTMd5lGqkYh" in said, "it tells who it was"
    assert KEY not in said
    assert "wrong-secret" not in said


@pytest.mark.parametrize(
    "nonsense", ["", "{", "[]", '{"a":"dance","v":[1]}', '{"a":"subscribe","v":7}', b"\0\1"]
)
async def test_nonsense_is_ignored(serve, dial: Dial, nonsense: str | bytes) -> None:
    async with serve() as served, dial(served) as ws:
        await ws.send_message(nonsense)
        await ws.send_message(subscribe(str(INFY)))
        await served.until(lambda: served.modes() == [{INFY: "quote"}])


async def test_the_surplus_is_an_error_message_and_the_connection_lives(serve, dial: Dial) -> None:
    async with serve(max_instruments=1) as served, dial(served) as ws:
        await ws.send_message(subscribe(INFY, NIFTY, 5))
        said = json.loads(await message(ws))
        assert said == {"type": "error", "data": "2 instruments left out: a connection may have 1"}
        served.tick(full(INFY, 1))
        assert isinstance(await message(ws), bytes)


async def test_a_message_that_is_far_too_long_ends_the_connection(serve, dial: Dial) -> None:
    async with serve() as served, dial(served) as ws:
        await ws.send_message(" " * (KiteFace.max_message + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await message(ws)
        assert closed.value.reason.code == 1009


async def test_orders_are_for_keys_that_may_see_everything(serve, dial: Dial) -> None:
    async with serve() as served, dial(served) as ws, dial(served, "/", "access_token=narrow") as narrow:
        served.publish(Batch.control(Order(data={"order_id": "1"})))
        assert await message(ws) == '{"type":"order","data":{"order_id":"1"}}'
        await narrow.send_message(subscribe(INFY))
        said = json.loads(await message(narrow))
        assert said == {"type": "error", "data": "1 instruments left out: this key may not see them"}


async def test_when_it_stops_clients_are_told_to_come_back(serve, dial: Dial) -> None:
    async with serve() as served, dial(served) as ws:
        served.ctx.stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            await message(ws)
        assert closed.value.reason.code == 1001


async def test_what_a_client_wanted_is_let_go_when_it_leaves(serve, dial: Dial) -> None:
    async with serve() as served:
        async with dial(served) as ws:
            await ws.send_message(subscribe(INFY))
            await served.until(lambda: served.ctx.wanted == {"NSE:INFY": "quote"})
        await served.until(lambda: not served.ctx.wanted)
        assert list(served.face._feed.clients) == []


async def test_many_clients_share_one_upstream_mode(serve, dial: Dial) -> None:
    async with serve() as served, dial(served) as low, dial(served) as high:
        await low.send_message(json.dumps({"a": "mode", "v": ["ltp", [INFY]]}))
        await high.send_message(json.dumps({"a": "mode", "v": ["full", [INFY]]}))
        await served.until(lambda: served.ctx.wanted == {"NSE:INFY": "full"})
        served.tick(full(INFY, 1))
        assert await message(low) == b"\0\1\0\x08" + full(INFY, 1)[:8]
        assert await message(high) == b"\0\1\0\xb8" + full(INFY, 1)
        await high.aclose()
        await served.until(lambda: served.ctx.wanted == {"NSE:INFY": "ltp"})


class Link:
    """Notes when it was written to."""

    id, is_open = "1", True

    def __init__(self) -> None:
        self.last_sent = trio.current_time()
        self.beats: list[float] = []

    def offer(self, *parts: bytes) -> bool:
        assert parts == (HEARTBEAT,)
        self.last_sent = trio.current_time()
        self.beats.append(self.last_sent)
        return True


class Shared:
    """An empty hub."""

    def __init__(self) -> None:
        self.ctx = self.wants = self.instruments = self

    def tables(self) -> list[object]:
        return []


async def test_a_quiet_client_hears_one_byte_each_second_whatever_upstream_does(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    face = KiteFace(KiteOptions(), Shared())  # type: ignore[arg-type]
    quiet, busy = Link(), Link()
    for link in (quiet, busy):
        face._feed.join(KiteClient(link, Principal(id="key", scopes=frozenset()), 1))
    nursery.start_soon(face.run)
    began = trio.current_time()
    with trio.move_on_after(60.5):
        while True:
            await trio.sleep(0.3)
            busy.last_sent = trio.current_time()
    assert len(quiet.beats) == 60
    heard = [began, *quiet.beats]
    assert max(after - before for before, after in pairwise(heard)) < 1.6
    assert busy.beats == []
    assert HEARTBEAT == b"\x82\x01\x00"


@pytest.mark.parametrize("silent_s", [0.0, 0.4, 0.9, 1.4])
async def test_no_silence_is_longer_than_two_seconds(
    autojump_clock: MockClock, nursery: trio.Nursery, silent_s: float
) -> None:
    face = KiteFace(KiteOptions(), Shared())  # type: ignore[arg-type]
    link = Link()
    face._feed.join(KiteClient(link, Principal(id="key", scopes=frozenset()), 1))
    nursery.start_soon(face.run)
    await trio.sleep(silent_s)
    last = link.last_sent = trio.current_time()
    while not link.beats or link.beats[-1] <= last:
        await trio.sleep(0.01)
    assert link.beats[-1] - last < 2


def test_it_does_what_a_face_does() -> None:
    from tickerd_plugins.websocket.face import Face

    face: Face = KiteFace(KiteOptions(), Shared())  # type: ignore[arg-type]
    assert (face.name, face.drain_code) == ("kite", 1001)


async def test_a_key_with_as_many_connections_as_it_may_have_is_refused_before_the_upgrade(
    serve, dial: Dial
) -> None:
    async with serve() as served:
        served.ctx.principals["one"] = Principal(
            id="key one", scopes=frozenset({"ticks:read"}), limits=Limits(connections=1)
        )
        query = "api_key=app&access_token=one"
        async with dial(served, query=query):
            with pytest.RaisesGroup(
                pytest.RaisesExc(ConnectionRejected, check=lambda e: e.status_code == 429)
            ):
                async with dial(served, query=query):
                    pass
            async with dial(served):
                assert len(served.server.connections) == 2
        await served.until(lambda: not served.server.connections)
        async with dial(served, query=query):
            pass
