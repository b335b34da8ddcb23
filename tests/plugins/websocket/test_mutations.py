"""What good clients send, broken at random: the server goes on for the others, and nothing is left of it."""

import gc
import json
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from tickerd.plugin import Batch, Row

Serve = Callable[..., AbstractAsyncContextManager[Any]]

INFY, TCS = 408065, 2953217
KEY = "key-of-alice"
SEED = int(os.environ.get("SEED", "1"))
AT_ONCE = 16
PATIENCE_S = 0.2
GROWTH_BYTES = 6 * 2**20
"""Of memory, from the middle of the run to its end: the allocator's own ups and downs."""
ODD = (
    b"", b"\0", b"\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff", b"\xfe\xff\xff", b"\xff" * 8, b"\r\n", b"\r\n\r\n",
    b"\x88\x80\0\0\0\0", b"\x89\xfd", b"\x80\x80\0\0\0\0", b"\xc1", b'"', b"{" * 300, b"[" * 3000, b"9" * 400,
    b"1e999", b"null", b"\xed\xa0\x80", b"\\ud800", b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff",
)  # fmt: skip


def traffic(upgrade: tuple[str, ...], frame_of: Callable[..., bytes]) -> list[tuple[bytes, bytes]]:
    """Sessions as they should be: the request, and the frames after it."""

    def request(path: str, *headers: str) -> bytes:
        return "\r\n".join([f"GET {path} HTTP/1.1", *upgrade, *headers, "", ""]).encode()

    asks: list[dict[str, Any]] = [
        {"op": "sub", "id": 1, "tokens": [INFY, TCS], "symbols": ["NSE:NIFTY 50", "NSE:*"], "mode": "full"},
        {"op": "sub", "id": "x", "symbols": ["NSE:INFY"], "interval_ms": 0, "delivery": "stream"},
        {"op": "ping", "id": 2, "t": "echo"},
        {"op": "resume", "id": 3, "epoch": 1, "seq": 0, "symbols": ["NSE:TCS"]},
        {"op": "list", "id": 4},
        {"op": "unsub", "id": 5, "all": True},
    ]
    login = {"op": "auth", "id": 0, "key": KEY, "client": "mutant", "version": "1"}
    end = frame_of(0x88, b"\x03\xe8bye")
    text = [frame_of(0x81, json.dumps(one).encode()) for one in asks]
    packed = [frame_of(0x82, msgspec.msgpack.encode(one)) for one in asks]
    whole = json.dumps(asks[0]).encode()
    split = [
        frame_of(0x01, whole[:30]),
        frame_of(0x89, b"now"),
        frame_of(0x00, whole[30:50]),
        frame_of(0x80, whole[50:]),
    ]
    kite: list[dict[str, Any]] = [
        {"a": "subscribe", "v": [INFY, TCS]},
        {"a": "mode", "v": ["full", [INFY]]},
        {"a": "unsubscribe", "v": [TCS]},
    ]
    bearer = f"Authorization: Bearer {KEY}"
    return [
        (request("/v1/stream"), b"".join([frame_of(0x81, json.dumps(login).encode()), *text, end])),
        (request("/v1/stream", bearer), b"".join([*text, *split, frame_of(0x8A), end])),
        (
            request("/v1/stream", bearer, "Sec-WebSocket-Protocol: tickerd.v1.msgpack"),
            b"".join([*packed, end]),
        ),
        (
            request(f"/kite?api_key=any&access_token={KEY}&v=3"),
            b"".join([*(frame_of(0x81, json.dumps(one).encode()) for one in kite), end]),
        ),
    ]  # fmt: skip


def broken(rng: random.Random, data: bytes) -> bytes:
    """With one to four faults."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        until = min(len(made), at + rng.choice((1, 1, 2, 8, 60)))
        match rng.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 1:
                del made[at:until]
            case 2:
                made[at:until] = rng.choice(ODD)
            case 3:
                made[at:at] = made[at:until] * rng.choice((1, 2, 40))
            case 4:
                made[at:until] = rng.randbytes(until - at)
            case _:
                if rng.random() < 0.2:
                    del made[at:]
                else:
                    made[at:at] = rng.choice(ODD)
    return bytes(made)


class Left:
    """What there is of a server's: compared before and after."""

    def __init__(self, served: Any) -> None:
        gc.collect()
        server, (face, kite) = served.server, served.server._faces
        self.tasks = trio.lowlevel.current_statistics().tasks_living
        self.descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list at one moment
        self.connections = (len(server.connections), len(server._visits), len(server._census))
        self.census = (dict(server._census._by_key), dict(server._census._unknown))
        self.clients = (len(face.clients), len(face.groups), len(kite._feed.clients))
        self.wants = len(face.shared.wants._owners)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def attack(served: Any, head: bytes, frames: bytes) -> None:
    """Send it all and hang up; the server has to end it."""
    stream = await trio.open_tcp_stream("127.0.0.1", served.port)
    async with stream:
        with suppress(trio.BrokenResourceError), trio.fail_after(20):
            await stream.send_all(head)
            with trio.move_on_after(PATIENCE_S):  # a broken request may get no answer yet
                await stream.receive_some()
            await stream.send_all(frames)
            await stream.send_eof()
            while await stream.receive_some():
                pass


@asynccontextmanager
async def watching(served: Any) -> AsyncIterator[Callable[[], int]]:
    """A good client beside it, which has to get every tick; gives how many it has got."""
    published, got = 0, 0
    async with served.client() as client, trio.open_nursery() as nursery:
        await client.subscribe("NSE:INFY", interval_ms=0, delivery="stream")

        async def publish() -> None:
            nonlocal published
            while True:
                published += 1
                served.ctx.publish(Batch.of([Row(INFY, mode="full", last_price=float(published))], ts_recv=5))
                await trio.sleep(0.01)

        async def listen() -> None:
            nonlocal got
            while True:
                for row in (await client.until("ticks"))["rows"]:
                    got += 1
                    assert row[1] == got, "a tick is missing"
                for kept in (client.seen, served.ctx.published, served.ctx.requests):
                    kept.clear()  # what the test itself remembers is no leak

        nursery.start_soon(publish)
        nursery.start_soon(listen)
        yield lambda: got
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "mutations", [pytest.param(200, id="200"), pytest.param(2000, id="2000", marks=pytest.mark.full)]
)
async def test_broken_traffic_ends_nothing_but_itself(
    serve: Serve, frame_of: Callable[..., bytes], mutations: int
) -> None:
    rng = random.Random(SEED)
    many = dict.fromkeys(("new_per_second", "per_key", "unknown_per_address", "per_address"), 10_000)
    async with serve(
        limits=many, auth=["keys"], release_after=0, stream={"resume_buffer": 0}, kite_compatible={}
    ) as served:
        sessions = traffic(served.upgrade, frame_of)
        attacks = []
        for _ in range(mutations):
            head, frames = rng.choice(sessions)
            attacks.append((broken(rng, head), frames) if rng.random() < 0.2 else (head, broken(rng, frames)))

        async def run(part: list[tuple[bytes, bytes]]) -> None:
            slots = trio.CapacityLimiter(AT_ONCE)

            async def one(head: bytes, frames: bytes) -> None:
                async with slots:
                    await attack(served, head, frames)

            async with trio.open_nursery() as nursery:
                for head, frames in part:
                    nursery.start_soon(one, head, frames)

        for head, frames in sessions:
            await attack(served, head, frames)  # what is made once is made
        await served.alone()
        before = Left(served)
        async with watching(served) as got:
            await run(attacks[: mutations // 2])
            memory = resident()
            await run(attacks[mutations // 2 :])
            assert resident() - memory < GROWTH_BYTES, f"SEED={SEED}"
            assert got() > 10
        await served.alone()
        with trio.fail_after(5):
            while served.server._faces[0].shared.wants._owners:
                await trio.sleep(0.05)
        assert vars(Left(served)) == vars(before), f"SEED={SEED}"
        assert served.ctx.counts["failed_connections"] == 0, f"SEED={SEED}"
        assert served.ctx.counts["opened_v1"] > mutations / 3
        assert served.ctx.counts["opened_kite"] > mutations / 10
