"""Opening the upstream socket, against real servers: TLS, refusals, and how an open one ends."""

import socket
import ssl
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trustme
from trio_websocket import serve_websocket

from tickerd_plugins.kite import dial
from tickerd_plugins.kite.dial import Dialler, Place, place, resource, tls_words
from tickerd_plugins.kite.outage import outages

UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\n"


class Server:
    """A server on loopback that runs one handler for each connection, and what it saw."""

    def __init__(self, port):
        self.port = port
        self.url = f"ws://127.0.0.1:{port}"
        self.requests = []
        self.connections = 0


@pytest.fixture
async def raw(nursery):
    """Starts a server that talks bytes: the handler gets (stream, the bytes of the request)."""

    async def start(handler):
        async def connected(stream):
            server.connections += 1
            data = b""
            with trio.move_on_after(5):
                while b"\r\n\r\n" not in data and (more := await stream.receive_some()):
                    data += more
            if data:
                server.requests.append(data)
            await handler(stream)
            await stream.aclose()

        (listener,) = await nursery.start(partial(trio.serve_tcp, connected, 0, host="127.0.0.1"))
        server = Server(listener.socket.getsockname()[1])
        return server

    return start


@pytest.fixture
async def websocket(nursery):
    """Starts a WebSocket server, with TLS if a context is given; the handler gets the open connection."""

    async def start(handler, ssl_context=None):
        async def connected(request):
            server.requests.append((request.path, dict(request.headers)))
            with suppress(Exception):
                await handler(await request.accept())

        found = await nursery.start(
            partial(serve_websocket, connected, "127.0.0.1", 0, ssl_context, disconnect_timeout=0.5)
        )
        server = Server(found.port)
        if ssl_context:
            server.url = server.url.replace("ws:", "wss:")
        return server

    return start


@asynccontextmanager
async def opened(options, token="TOK"):
    async with Dialler(options)(token) as found:
        yield found


async def outage_of(options, token="TOK", body=None):
    """The outage that ends an attempt."""
    with trio.fail_after(10):
        with pytest.raises(BaseException) as caught:  # noqa: PT011
            async with Dialler(options)(token) as found:
                await (body or receive_for_ever)(found)
    return next(outages(caught.value))


async def receive_for_ever(found):
    while True:
        await found.receive()


async def talk(connection):
    await connection.send_message("hello")
    await connection.send_message(b"\0")
    while True:
        await connection.send_message(await connection.get_message())


def test_an_address_is_taken_apart():
    assert place("wss://ws.kite.trade") == Place("ws.kite.trade", 443, "/", secure=True)
    assert place("ws://[::1]:7000/kite").header == "[::1]:7000"
    assert place("wss://ws.kite.trade").header == "ws.kite.trade"


def test_the_query_is_percent_encoded():
    assert resource("/", "k&y", "a+b/c= d") == "/?api_key=k%26y&access_token=a%2Bb%2Fc%3D%20d"


async def test_messages_pass_both_ways_and_the_request_is_that_of_a_kite_client(websocket, options):
    server = await websocket(talk)
    async with opened(options(ws_url=server.url + "/kite"), "a+b") as found:
        assert await found.receive() == "hello"
        assert await found.receive() == b"\0"
        await found.send("echo")
        assert await found.receive() == "echo"
    ((path, headers),) = server.requests
    assert path == "/kite?api_key=KEY&access_token=a%2Bb"
    assert headers[b"x-kite-version"] == b"3"
    assert headers[b"user-agent"].startswith(b"tickerd/")


async def test_a_stop_says_goodbye_so_that_the_broker_frees_the_place(websocket, options, nursery):
    ended = trio.Event()
    codes = []

    async def handler(connection):
        try:
            await connection.get_message()
        except Exception:
            codes.append(connection.closed.code)
            ended.set()
            raise

    server = await websocket(handler)
    with trio.CancelScope() as scope:
        async with opened(options(ws_url=server.url)):
            scope.cancel()
            await trio.sleep_forever()
    with trio.fail_after(5):
        await ended.wait()
    assert codes == [1000]


# -- refusals ----------------------------------------------------------------------------------------------


def answering(reply):
    async def handler(stream):
        await stream.send_all(reply)

    return handler


@pytest.mark.parametrize(
    ("reply", "reason", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "auth", "log in again"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\nno length, ended by hanging up", "auth", "log in again"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 500\r\n\r\ncut", "auth", "log in again"),
        (b"HTTP/1.1 429 \r\nContent-Length: 2\r\n\r\nno", "rate_limited", "allows three"),
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            "http",
            "the server answered the upgrade with HTTP 502",
        ),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://evil\r\nContent-Length: 0\r\n\r\n", "http", "HTTP 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "http", "HTTP 200"),
        (b"SSH-2.0-OpenSSH\r\n", "protocol", "not that of a WebSocket server"),
        (UPGRADE + b"\r\n", "protocol", "not that of a WebSocket server"),
        (b"", "reset", "the server hung up without an answer"),
    ],
)
async def test_a_refusal_is_told_apart_in_words(raw, options, reply, reason, words):
    server = await raw(answering(reply))
    outage = await outage_of(options(ws_url=server.url))
    assert outage.reason == reason
    assert words in outage.detail
    assert "TOK" not in outage.detail
    assert "KEY" not in outage.detail


async def test_a_retry_after_is_heard(raw, options):
    server = await raw(answering(b"HTTP/1.1 429 X\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"))
    assert (await outage_of(options(ws_url=server.url))).retry_after == 17


async def test_an_endless_refusal_is_cut_off(raw, options):
    async def handler(stream):
        await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 999999999\r\n\r\n")
        try:
            while True:
                await stream.send_all(bytes(10_000))
        except trio.BrokenResourceError:
            pass

    server = await raw(handler)
    assert (await outage_of(options(ws_url=server.url))).reason == "auth"


async def test_a_server_that_never_answers_costs_the_time_limit_only(raw, options):
    server = await raw(lambda stream: trio.sleep_forever())
    outage = await outage_of(options(ws_url=server.url, connect_timeout="200ms"))
    assert (outage.reason, outage.detail) == ("timeout", "no answer to the upgrade within 0.2 s")


async def test_a_server_that_never_completes_the_tls_handshake_costs_the_time_limit_only(raw, options):
    server = await raw(lambda stream: trio.sleep_forever())
    outage = await outage_of(options(ws_url=server.url.replace("ws:", "wss:"), connect_timeout="200ms"))
    assert (outage.reason, outage.detail) == ("timeout", "no connection to 127.0.0.1 within 0.2 s")


async def test_nobody_listening_is_told(options):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        outage = await outage_of(options(ws_url=f"ws://127.0.0.1:{port}"))
    assert outage.reason == "unreachable"
    assert outage.detail == f"cannot reach 127.0.0.1 port {port}: connection refused"


class Resolver(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *args, **kwargs):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async def getnameinfo(self, *args):
        raise NotImplementedError


async def test_a_name_that_cannot_be_looked_up_is_told(options):
    trio.socket.set_custom_hostname_resolver(Resolver())
    outage = await outage_of(options(ws_url="ws://localhost"))
    assert outage.reason == "dns"
    assert outage.detail == "dns: cannot look up 'localhost': temporary failure in name resolution"


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture
def certified(tmp_path):
    """Makes a server context for a name, and the file of the authority that signed its certificate."""

    def make(name):
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(path))
        return context, path

    return make


class Wiretap:
    """A TLS server that notes every decrypted byte."""

    def __init__(self, context):
        self._context = context
        self.heard = b""

    async def __call__(self, stream):
        tls = trio.SSLStream(stream, self._context, server_side=True, https_compatible=True)
        try:
            while data := await tls.receive_some():
                self.heard += data
        except trio.BrokenResourceError:
            pass


@pytest.fixture
async def wiretap(nursery):
    async def start(context):
        tap = Wiretap(context)
        (listener,) = await nursery.start(partial(trio.serve_tcp, tap, 0, host="127.0.0.1"))
        return tap, f"wss://127.0.0.1:{listener.socket.getsockname()[1]}"

    return start


async def test_a_self_signed_certificate_is_refused_before_the_token_leaves(wiretap, certified, options):
    tap, url = await wiretap(certified("127.0.0.1")[0])
    outage = await outage_of(options(ws_url=url))
    assert outage.reason == "tls"
    assert outage.detail.startswith("tls: certificate verify failed: ")
    assert tap.heard == b""


async def test_a_certificate_for_another_host_is_refused_before_the_token_leaves(wiretap, certified, options):
    context, ca_file = certified("ws.example.org")
    tap, url = await wiretap(context)
    outage = await outage_of(options(ws_url=url, ca_file=ca_file))
    assert outage.reason == "tls"
    assert outage.detail.startswith("tls: certificate verify failed: ip address mismatch")
    assert tap.heard == b""


async def test_a_plaintext_server_is_refused_and_nothing_is_downgraded(nursery, options):
    heard = []

    async def answer(stream):
        heard.append(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
    outage = await outage_of(options(ws_url=f"wss://127.0.0.1:{listener.socket.getsockname()[1]}"))
    assert outage.reason == "tls"
    assert outage.detail in ("tls: wrong version number", "tls: record layer failure", "tls: http request")
    assert len(heard) == 1
    assert b"TOK" not in heard[0]


async def test_a_verified_server_gets_the_token(websocket, certified, options):
    context, ca_file = certified("127.0.0.1")
    server = await websocket(talk, context)
    async with opened(options(ws_url=server.url, ca_file=ca_file)) as found:
        assert await found.receive() == "hello"
    assert server.requests[0][0] == "/?api_key=KEY&access_token=TOK"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file or directory"), ("x", "it holds no certificate in PEM")]
)
async def test_an_unusable_ca_file_is_told(raw, options, tmp_path, content, words):
    server = await raw(lambda stream: trio.sleep_forever())
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    outage = await outage_of(options(ws_url=server.url.replace("ws:", "wss:"), ca_file=path))
    assert outage.detail == f"tls: cannot use ca_file {str(path)!r}: {words}"


def test_a_handshake_that_just_ends_is_told():
    assert tls_words(None) == "the server hung up during the handshake"


# -- how an open connection ends ------------------------------------------------------------------------------


async def test_a_close_frame_ends_it_with_its_code(websocket, options):
    async def handler(connection):
        await connection.aclose(1001)

    server = await websocket(handler)
    outage = await outage_of(options(ws_url=server.url))
    assert (outage.reason, outage.detail) == ("closed", "the server closed the connection (code 1001)")


async def test_an_oversized_frame_ends_it(websocket, options):
    async def handler(connection):
        await connection.send_message(bytes(1024))
        await connection.send_message(bytes(1025))
        await trio.sleep_forever()

    server = await websocket(handler)
    got = []

    async def body(found):
        while True:
            got.append(await found.receive())

    outage = await outage_of(options(ws_url=server.url, max_frame_bytes="1KiB"), body=body)
    assert (outage.reason, len(got)) == ("oversized", 1)


def breaking(after, *, server, reset=False):
    """A handler that accepts the upgrade, sends these bytes, and breaks off."""

    async def handler(stream):
        import base64
        import hashlib

        key = next(line for line in server.requests[-1].split(b"\r\n") if b"websocket-key" in line.lower())
        accept = base64.b64encode(
            hashlib.sha1(key.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        )
        await stream.send_all(
            UPGRADE
            + b"Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + accept
            + b"\r\n\r\n"
            + after
        )
        if reset:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return handler


FRAME = b"\x82\x05\0\1\0\5h"
"""A binary message of five bytes: no packets that anyone knows."""


@pytest.mark.parametrize(
    ("after", "reset", "reason"),
    [
        (FRAME + b"\x82\x7e\x01\x00half", False, "reset"),
        (FRAME + b"\x82\x7e\x01\x00half", True, "reset"),
        (FRAME + b"\xc2\x05hello", False, "protocol"),
        (FRAME + b"\x83\x05hello", False, "protocol"),
        (FRAME + b"\x80\x05hello", False, "protocol"),
        (FRAME + b"\x89\x7e\x01\x00" + bytes(256), False, "protocol"),
        (FRAME + b"\x81\x02\xff\xfe", False, None),
        (FRAME + b"\x88\x02\x03\xed", False, None),
        (FRAME + b"\x88\x01\x03", False, None),
    ],
)
async def test_a_broken_stream_gives_the_messages_before_it_and_one_outage(
    raw, options, after, reset, reason
):
    async def handler(stream):
        await breaking(after, server=server, reset=reset)(stream)

    server = await raw(handler)
    got = []

    async def body(found):
        while True:
            got.append(await found.receive())

    outage = await outage_of(options(ws_url=server.url), body=body)
    if reason:
        assert outage.reason == reason
    assert got in ([b"\0\1\0\5h"], [] if reset else [b"\0\1\0\5h"])


async def test_sending_on_an_ended_connection_is_an_outage(websocket, options):
    async def handler(connection):
        await connection.aclose(1001)

    server = await websocket(handler)

    async def body(found):
        while True:
            await found.send("x")
            await trio.sleep(0.01)

    assert (await outage_of(options(ws_url=server.url), body=body)).reason in ("closed", "reset")


async def test_the_librarys_log_never_shows_the_query(websocket, options, caplog):
    caplog.set_level("DEBUG")
    server = await websocket(talk)
    async with opened(options(ws_url=server.url), "SECRETTOKEN") as found:
        await found.receive()
    client = [
        r.getMessage()
        for r in caplog.records
        if "client-" in r.getMessage() or "Connecting" in r.getMessage()
    ]
    assert client
    assert not any("SECRETTOKEN" in line for line in client)


async def test_an_error_of_the_caller_passes_and_the_stream_is_closed(websocket, options):
    ended = trio.Event()

    async def handler(connection):
        try:
            await connection.get_message()
        finally:
            ended.set()

    server = await websocket(handler)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with Dialler(options(ws_url=server.url))("TOK"):
            raise ZeroDivisionError
    assert caught.group_contains(ZeroDivisionError)
    with trio.fail_after(5):
        await ended.wait()


async def test_the_trust_is_read_once(certified, options, monkeypatch):
    calls = []
    monkeypatch.setattr(dial, "trust", lambda ca_file: calls.append(ca_file) or ssl.create_default_context())
    dialler = Dialler(options())
    await dialler._trust()
    await dialler._trust()
    assert calls == [None]


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_a_server_sends_only_outages_come_out(raw, options, seed):
    import random

    rng = random.Random(seed)

    async def handler(stream):
        whole = bytearray(FRAME * 30)
        for _ in range(rng.randrange(1, 20)):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        with trio.move_on_after(2):
            with suppress(trio.BrokenResourceError):
                await breaking(bytes(whole), reset=rng.random() < 0.3, server=server)(stream)

    server = await raw(handler)
    for _ in range(25):
        outage = await outage_of(options(ws_url=server.url))
        assert outage.reason in ("reset", "protocol", "closed", "oversized", "http")
