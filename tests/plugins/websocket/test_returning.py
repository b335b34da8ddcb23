"""Five hundred clients, some of which take nothing, while the sink gives way to a new one: all of them come back."""

import gc
import json
import os
import random
import resource
import select
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import trio

from tickerd.plugin import Batch, Instrument, Row

pytestmark = pytest.mark.full
Serve = Callable[..., AbstractAsyncContextManager[Any]]

CLIENTS, STALLED = 500, 50
TOKENS = range(1, 301)
SLOW, KEY = "key-of-the-slow", "key-of-alice"
GONE_S = 6.0
"""From the moment that a client takes nothing more until it is gone."""
BACK_S = 15.0
LIMITS = dict.fromkeys(("new_per_second", "per_key", "unknown_per_address", "per_address"), 10_000)


@pytest.fixture(autouse=True)
def descriptors_for_all() -> Iterator[None]:
    """Both ends of each connection are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * CLIENTS
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(max(soft, wanted), hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def left(served: Any) -> dict[str, Any]:
    """What there is when no client is."""
    gc.collect()
    server, face = served.server, served.server._faces[0]
    return {
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a list at one moment
        "census": (len(server._census), dict(server._census._by_key), dict(server._census._unknown)),
        "face": (len(face.clients), len(face.groups), dict(face.shared.wants._owners)),
    }


def masked(payload: bytes) -> bytes:
    return b"\x81\xfe" + len(payload).to_bytes(2) + b"\0\0\0\0" + payload


class Crowd:
    """Clients that come back whenever they are sent away. The first ones take nothing on their first two visits."""

    def __init__(self) -> None:
        self.served: Any = None
        """Where they go."""
        self.clogged_for: dict[Any, float] = {}
        """How long each connection that took nothing was there afterwards."""
        self._since: dict[Any, float] = {}
        self.reading: dict[int, Any] = {}
        """Client to the sink that it gets ticks from."""

    async def publish(self) -> None:
        """What all of them get."""
        while True:
            self.served.ctx.publish(
                Batch.of([Row(n, mode="full", last_price=1.0) for n in TOKENS], ts_recv=5)
            )
            await trio.sleep(0.1)

    async def watch(self) -> None:
        """Take the time of those that take nothing."""
        while True:
            now = trio.current_time()
            for one in self.served.server.connections.values():
                if one.clogged and one.principal and one.principal.id == "key slow":
                    self.clogged_for[one] = now - self._since.setdefault(one, now)
            await trio.sleep(0.02)

    def clogged(self) -> int:
        return sum(one.clogged for one in self.served.server.connections.values())

    async def client(self, number: int) -> None:
        visits = 0
        while True:
            visits += 1
            stalls = number < STALLED and visits <= 2
            try:
                await self._visit(number, stalls=stalls)
            except OSError:
                visits -= 1
            except (trio.BrokenResourceError, AssertionError):
                pass  # it was cut, or refused
            self.reading.pop(number, None)
            await trio.sleep(random.uniform(0, 0.5))  # as clients should

    async def _visit(self, number: int, *, stalls: bool) -> None:
        key = SLOW if stalls else KEY
        async with self.served.raw(key=key, receive_buffer=4096 if stalls else 0) as raw:
            served = self.served  # another one may have answered than was there when it connected
            tokens = list(TOKENS) if stalls else [1]
            ask = {"op": "sub", "tokens": tokens, "mode": "full", "interval_ms": 0 if stalls else 250}
            await raw.send(masked(json.dumps(ask).encode().ljust(130)))
            if stalls:
                await _cut(raw)
                return
            while True:
                opcode, payload = await raw.frame()
                if opcode in (8, -1):
                    return
                if b'"t":"ticks"' in payload:
                    self.reading[number] = served

    async def all_read(self, served: Any, clients: int) -> None:
        while sum(one is served for one in self.reading.values()) < clients:
            await trio.sleep(0.02)


async def _cut(raw: Any) -> None:
    """Until the server has cut it; nothing is read."""
    poll = select.poll()
    poll.register(raw.stream.socket.fileno(), select.POLLRDHUP)
    while not poll.poll(0):
        await trio.sleep(0.05)


@pytest.mark.parametrize("how", ["reloaded", "killed"])
async def test_all_come_back_and_those_that_stall_go(serve: Serve, how: str) -> None:
    crowd = Crowd()
    options = {"limits": LIMITS, "drain": "1s", "release_after": 0, "stream": {"resume_buffer": 0}}

    async def host(
        at: Any, over: trio.Event, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with serve(at, **options) as served:
            served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in TOKENS])
            everything = served.ctx.principals[KEY]
            served.ctx.principals[SLOW] = type(everything)(id="key slow", scopes=everything.scopes)
            task_status.started(served)
            await over.wait()

    async with trio.open_nursery() as hosts:
        first_over, second_over = trio.Event(), trio.Event()
        first = crowd.served = await hosts.start(host, None, first_over)
        async with first.raw():
            pass
        await first.alone()
        before = left(first)
        async with trio.open_nursery() as clients:
            clients.start_soon(crowd.publish)
            clients.start_soon(crowd.watch)
            for number in range(CLIENTS):
                clients.start_soon(crowd.client, number)
            with trio.fail_after(30):
                await crowd.all_read(first, CLIENTS - STALLED)
                while crowd.clogged() < STALLED:
                    await trio.sleep(0.02)

            if how == "killed":
                first_over.set()
                while first.server.connections:
                    await trio.sleep(0.01)
            began = trio.current_time()
            second = crowd.served = await hosts.start(host, first, second_over)
            first.ctx.stopping.set()
            with trio.fail_after(BACK_S):
                await crowd.all_read(second, CLIENTS - STALLED)
            took = trio.current_time() - began
            with trio.fail_after(2 * BACK_S):
                await crowd.all_read(second, CLIENTS)
            first_over.set()
            assert took < BACK_S
            stalled_here = second.ctx.counts["ended_slow_client"]
            clients.cancel_scope.cancel()
        await second.alone()
        assert (
            stalled_here >= STALLED * 0.9
        )  # one may have been cut by the old sink before it had its second visit
        assert max(crowd.clogged_for.values()) <= GONE_S
        before["descriptors"] += 1  # the listening socket is open twice
        with trio.fail_after(5):
            while left(second) != before:
                await trio.sleep(0.1)
        assert first.ctx.counts["failed_connections"] == second.ctx.counts["failed_connections"] == 0
        second_over.set()
