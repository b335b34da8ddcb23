"""Fakes for the kite source: a socket, a dialler, packets, and a context."""

from collections import deque
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio

from tickerd.plugin import Gap, Instrument, Notice, Status
from tickerd.testing import FakeContext
from tickerd.wire.kite import text
from tickerd.wire.kite.frame import join
from tickerd.wire.kite.layout import LTP_PACKET
from tickerd_plugins.kite.options import KiteOptions
from tickerd_plugins.kite.outage import Outage


class FakeSocket:
    """An open socket whose other end is the test."""

    def __init__(self):
        self._push, self._pull = trio.open_memory_channel(10_000)
        self.sent = []
        self._have = {}
        self.blocked = False

    def say(self, *messages):
        for message in messages:
            self._push.send_nowait(message)

    def end(self, reason="reset", detail="the connection was reset"):
        self._push.send_nowait(Outage(reason, detail))

    async def receive(self):
        message = await self._pull.receive()
        if isinstance(message, Outage):
            raise message
        return message

    async def send(self, message):
        if self.blocked:
            await trio.sleep_forever()
        self.sent.append(message)
        request = text.request(message)
        if request.action == "unsubscribe":
            for token in request.tokens:
                self._have.pop(token, None)
        else:
            self._have.update(dict.fromkeys(request.tokens, request.mode))
        await trio.lowlevel.checkpoint()

    @property
    def subscribed(self):
        """Token to mode, as the broker would see it."""
        return dict(self._have)


class FakeDial:
    """Opens what the script says next: a socket, or an outage; then fresh sockets for ever."""

    def __init__(self, *script):
        self.script = deque(script)
        self.sockets = []
        self.times = []
        self.tokens = []

    @asynccontextmanager
    async def __call__(self, token):
        self.times.append(trio.current_time())
        self.tokens.append(token)
        await trio.lowlevel.checkpoint()
        step = self.script.popleft() if self.script else FakeSocket()
        if isinstance(step, Outage):
            raise step
        self.sockets.append(step)
        yield step


@pytest.fixture
def fakes():
    """The fakes and builders of this directory."""

    def ltp(*tokens, price=100):
        return join([LTP_PACKET.pack(token, price) for token in tokens])

    def instruments(*tokens):
        return [Instrument("kite", token, "NSE", f"S{token}") for token in tokens]

    def records(ctx, kind):
        return [r for batch in ctx.published for r in batch.records if isinstance(r, kind)]

    return SimpleNamespace(
        Socket=FakeSocket,
        Dial=FakeDial,
        Outage=Outage,
        Notice=Notice,
        ltp=ltp,
        instruments=instruments,
        gaps=lambda ctx: records(ctx, Gap),
        states=lambda ctx: [r.state for r in records(ctx, Status)],
        records=records,
        HEARTBEAT=b"\0",
    )


@pytest.fixture
def options():
    """A maker of options with an access token."""

    def make(**values):
        if "access_token_file" not in values:
            values.setdefault("access_token", "TOKEN")
        return KiteOptions(api_key="KEY", **values)

    return make


@pytest.fixture
def inline_threads(monkeypatch):
    """What would run in a thread runs at once, so that a clock may jump whenever nothing moves."""

    async def run_sync(work, *args, **_):
        await trio.lowlevel.checkpoint()
        return work(*args)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@pytest.fixture
async def ctx(tmp_path):
    """A context that remembers; made inside the test's trio run."""
    return FakeContext(tmp_path / "state", "kite")
