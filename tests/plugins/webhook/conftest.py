"""A receiver on loopback that says what the test wants, and webhook sinks that post to it."""

from contextlib import asynccontextmanager

import h11
import msgspec
import pytest
import trio

from tickerd.plugin import Clock
from tickerd.testing import FakeContext
from tickerd.wire.standard_webhooks import secret_of
from tickerd_plugins.webhook.options import WebhookOptions
from tickerd_plugins.webhook.outbound import Limits, Poster
from tickerd_plugins.webhook.sink import WebhookSink

SECRET = secret_of(b"s" * 32)


class NotOurs:
    """The receiver runs in this process, and posting to one's own ports is refused."""

    def address(self, address):
        return False

    def port(self, port):
        return False


class Delivery:
    """One request."""

    def __init__(self, request, body):
        self.headers = {name.decode(): value.decode() for name, value in request.headers}
        self.path = request.target.decode()
        self.body = body
        self.at = trio.current_time()

    @property
    def id(self):
        return self.headers["webhook-id"]

    @property
    def json(self):
        return msgspec.json.decode(self.body)

    @property
    def type(self):
        return self.json["type"]


class Receiver:
    """``answer(delivery, number)`` gives a status, (status, headers), or an awaitable of one; numbers from 0."""

    def __init__(self):
        self.answer = lambda delivery, number: 200
        self.got = []
        self.busy = self.most_busy = 0
        self.url = ""

    async def serve(self, stream):
        connection = h11.Connection(h11.SERVER)
        async with stream:
            try:
                while await self.one(stream, connection):
                    connection.start_next_cycle()
            except (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError):
                pass

    async def event(self, stream, connection):
        while (event := connection.next_event()) is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(65536))
        return event

    async def one(self, stream, connection):
        request = await self.event(stream, connection)
        if not isinstance(request, h11.Request):
            return False
        body = b""
        while isinstance(data := await self.event(stream, connection), h11.Data):
            body += data.data
        delivery = Delivery(request, body)
        self.got.append(delivery)
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            answer = self.answer(delivery, len(self.got) - 1)
            if hasattr(answer, "__await__"):
                answer = await answer
        finally:
            self.busy -= 1
        status, headers = answer if isinstance(answer, tuple) else (answer, {})
        text = b"" if status == 204 else b"thanks"
        head = [*headers.items(), ("content-length", str(len(text)))]
        await stream.send_all(
            connection.send(h11.Response(status_code=status, headers=head))
            + connection.send(h11.Data(data=text))
            + connection.send(h11.EndOfMessage())
        )
        return connection.our_state is not h11.MUST_CLOSE


@pytest.fixture
def secret():
    return SECRET


@pytest.fixture
def options():
    """``options(receiver, …)``: options of a sink that may post to it."""

    def make(receiver=None, **changes):
        url = "https://example.com/hook" if receiver is None else receiver.url
        rules = []
        if receiver is not None:
            host, _, port = url.split("/")[2].partition(":")
            rules = [{"network": "127.0.0.1/32", "host": host, "port": int(port), "http": True}]
        given = {"url": url, "secret": SECRET, "allow_private": rules, **changes}
        return WebhookOptions.model_validate(given)

    return make


@pytest.fixture
def receiver():
    """``async with receiver() as r``."""

    @asynccontextmanager
    async def make():
        found = Receiver()
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            found.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/hook?x=1"
            nursery.start_soon(trio.serve_listeners, found.serve, [listener])  # noqa: ASYNC113 - it listens already
            yield found
            nursery.cancel_scope.cancel()

    return make


@pytest.fixture
def poster():
    """A client that may post to this process, for these options."""
    return lambda options, **limits: Poster(options.policy(), Limits(**limits), own=NotOurs())


@pytest.fixture
def sink(options, tmp_path, poster):
    """``async with sink(receiver, …) as s``: an open sink; its context is ``s.ctx``."""

    @asynccontextmanager
    async def make(receiver=None, *, clock=None, name="alerts", **changes):
        made = options(receiver, **changes)
        ctx = FakeContext(tmp_path, name, clock or Clock())
        sink = WebhookSink(made, ctx, poster(made))
        sink.ctx = ctx
        async with sink:
            yield sink

    return make
