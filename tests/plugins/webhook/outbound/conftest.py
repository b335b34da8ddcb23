"""Fakes for posting: a resolver and a dialer that count, and servers on loopback that are asked in their place."""

import ssl
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest
import trio
import trustme

from tickerd_plugins.webhook.outbound import AllowPrivate, Limits, Policy, Poster
from tickerd_plugins.webhook.outbound.connect import Link, dial

PUBLIC = "93.184.215.14"
PUBLIC6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
UNKNOWN = OSError(-2, "Name or service not known")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class FakeResolver:
    """Names and what they resolve to: addresses, several lists of them one look-up each, an exception, or a wait."""

    def __init__(self, **names):
        self.names = {"public.test": [PUBLIC], **names}
        self.asked = []

    async def __call__(self, name):
        self.asked.append(name)
        answer = self.names[name] if name in self.names or hasattr(self.names, "default_factory") else UNKNOWN
        if answer == "hangs":
            await trio.sleep_forever()
        if isinstance(answer, Exception):
            raise answer
        if answer and isinstance(answer[0], list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        await trio.lowlevel.checkpoint()
        return [ip_address(text) for text in answer]


class FakeDialer:
    """Counts what would have left the machine; leads to a port of loopback instead, or to nothing."""

    def __init__(self, port=None, peer=None):
        self.port = port
        self.peer = peer
        self.dialled = []

    async def __call__(self, address, port):
        self.dialled.append((str(address), port))
        if self.port is None:
            raise OSError(111, "Connection refused")
        link = await dial(ip_address("127.0.0.1"), self.port)
        return Link(link.stream, self.peer or (str(address), port), link.readable)


class FakeOwn:
    def __init__(self, addresses=(), ports=()):
        self.addresses = addresses
        self.ports = ports

    def address(self, address):
        return str(address) in self.addresses

    def port(self, port):
        return port in self.ports


async def read_request(stream):
    """One request, head and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(dict(line.split(b": ") for line in head.split(b"\r\n")[1:])[b"content-length"])
    while len(body) < length:
        body += await stream.receive_some(65536)
    return head + b"\r\n\r\n" + body


class Server:
    """A server on loopback. ``behave`` is called with each connection."""

    def __init__(self, behave):
        self.behave = behave
        self.requests = []
        self.connections = 0
        self.port = None

    async def handle(self, stream):
        self.connections += 1
        with trio.CancelScope():
            try:
                await self.behave(self, stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
                pass
            finally:
                await trio.aclose_forcefully(stream)

    async def request(self, stream):
        request = await read_request(stream)
        if request:
            self.requests.append(request)
        return request

    @property
    def target(self):
        return f"http://127.0.0.1:{self.port}/hook"


def answering(*answers, close=False):
    """A behaviour: these answers to the requests of a connection, the last for all others."""

    async def behave(server, stream):
        left = list(answers)
        while await server.request(stream):
            await stream.send_all(left.pop(0) if len(left) > 1 else left[0])
            if close:
                return

    return behave


@asynccontextmanager
async def serve(behave, tls=None):
    server = Server(behave)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]

        async def handle(stream):
            if tls is not None:
                stream = trio.SSLStream(stream, tls, server_side=True, https_compatible=True)
            await server.handle(stream)

        nursery.start_soon(trio.serve_listeners, handle, listeners)
        try:
            yield server
        finally:
            nursery.cancel_scope.cancel()


def on_loopback(server, **limits):
    """A poster that may post to this server without TLS."""
    rule = AllowPrivate(network="127.0.0.1/32", host="127.0.0.1", port=server.port, http=True)
    return Poster(Policy(allow=(rule,)), Limits(**limits), own=FakeOwn())


@pytest.fixture(scope="session")
def authority():
    """A certificate authority that `client_tls` trusts."""
    return trustme.CA()


@pytest.fixture
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="session")
def server_tls(authority):
    """``server_tls("public.test")`` is the context of a server with a certificate for that name."""

    def make(*names, ca=authority, **arguments):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(*names, **arguments).configure_cert(context)
        return context

    return make


@pytest.fixture
def net():
    """The fakes, by their names."""

    class Net:
        Resolver, Dialer, Own = FakeResolver, FakeDialer, FakeOwn
        ok = OK
        public, public6 = PUBLIC, PUBLIC6

    Net.serve, Net.answering, Net.on_loopback = (
        staticmethod(serve),
        staticmethod(answering),
        staticmethod(on_loopback),
    )
    return Net
