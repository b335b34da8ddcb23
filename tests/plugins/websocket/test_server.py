"""The server: doors, limits, slow clients, taking leave, and that nothing is left of those who have gone."""

import gc
import json
import os
import resource
import ssl
import statistics
import zlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket
import trustme
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.uri import parse_uri

from tickerd.plugin import Batch, Instrument, Principal, Row

Serve = Callable[..., AbstractAsyncContextManager[Any]]

INFY, TCS = 408065, 2953217
KEY = "key-of-alice"
ADDRESS = "127.0.0.1:7800"


def rows(*tokens: int, price: float = 100.0) -> Batch:
    return Batch.of([Row(token, mode="full", last_price=price) for token in tokens], ts_recv=5)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a list at one moment


# -- doors -------------------------------------------------------------------------------------------------


async def test_a_local_caller_of_a_unix_socket_needs_no_key(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "stream.sock"
    async with serve(listen=f"unix:{path}") as served:
        served.ctx.local = Principal(id="uid 0", scopes=frozenset({"ticks:read"}))
        async with served.connect(stream=await trio.open_unix_socket(str(path))) as client:
            assert (await client.until("auth_ok"))["who"] == "uid 0"
            assert served.ctx.requests[0].uid == os.getuid()
            assert served.ctx.requests[0].peer is None
            await client.subscribe("NSE:INFY", interval_ms=0)
            served.ctx.publish(rows(INFY))
            assert (await client.until("ticks"))["n"] == 1


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def certify(authority: trustme.CA, folder: Path) -> None:
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(folder / "key.pem.new")
    (folder / "cert.pem.new").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    for name in ("key.pem", "cert.pem"):
        (folder / f"{name}.new").rename(folder / name)


async def tls_stream(served: Any, authority: trustme.CA) -> trio.SSLStream[trio.SocketStream]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    plain = await trio.open_tcp_stream("127.0.0.1", served.port)
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    await stream.do_handshake()
    return stream


async def test_a_certificate_is_renewed_without_dropping_anyone(
    serve: Serve, tmp_path: Path, authority: trustme.CA
) -> None:
    certify(authority, tmp_path)
    tls = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    async with serve(listen={"address": ADDRESS, "tls": tls}) as served:
        first = await tls_stream(served, authority)
        async with served.connect(stream=first) as client:
            await client.login()
            await client.subscribe("NSE:INFY", interval_ms=0)
            certify(authority, tmp_path)
            (door,) = served.server._doors
            assert door.certificate.renew()
            assert not door.certificate.renew()
            second = await tls_stream(served, authority)
            async with served.connect(stream=second) as other:
                await other.login()
                served.ctx.publish(rows(INFY))
                assert (await client.until("ticks"))["n"] == 1
                assert first.getpeercert()["serialNumber"] != second.getpeercert()["serialNumber"]  # type: ignore[index]


async def test_much_goes_over_tls_to_a_client_that_reads_late(
    serve: Serve, tmp_path: Path, authority: trustme.CA
) -> None:
    certify(authority, tmp_path)
    tls = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    async with serve(listen={"address": ADDRESS, "tls": tls}, stream={"buffer": "64MiB"}) as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in range(1, 3001)])
        async with served.connect(stream=await tls_stream(served, authority)) as client:
            await client.login()
            await client.send(
                "sub", tokens=list(range(1, 3001)), interval_ms=0, mode="full", delivery="stream"
            )
            while not (await client.until("snapshot"))["last"]:
                pass
            for price in range(8):
                served.ctx.publish(rows(*range(1, 3001), price=float(price)))
            with trio.fail_after(5):
                while not any(one.clogged for one in served.server.connections.values()):
                    await trio.sleep(0.01)
            seqs: list[int] = []
            while len(seqs) < 24_000:
                seqs += [row[1] for row in (await client.until("ticks"))["rows"]]
            assert seqs == list(range(1, 24_001))


async def test_no_plaintext_is_served_where_tls_is(
    serve: Serve, tmp_path: Path, authority: trustme.CA
) -> None:
    certify(authority, tmp_path)
    tls = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    async with serve(listen={"address": ADDRESS, "tls": tls}) as served:
        assert b"HTTP" not in await served.send_and_hang_up(b"GET /v1/stream HTTP/1.1\r\n\r\n")
        with trio.fail_after(5):
            while not served.ctx.counts["broken_handshakes"]:
                await trio.sleep(0.01)


@pytest.mark.parametrize(("window", "compressed"), [("15", True), ("9", False)])
async def test_rows_are_compressed_for_clients_that_can(serve: Serve, window: str, compressed: bool) -> None:
    tokens = range(1, 301)
    async with serve(compress=True) as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        extensions = [ClientPerMessageDeflateFactory(server_max_window_bits=int(window))]
        protocol = ClientProtocol(parse_uri("ws://127.0.0.1/v1/stream"), extensions=extensions)
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            request = protocol.connect()
            request.headers["Authorization"] = f"Bearer {KEY}"
            protocol.send_request(request)
            ask = {"op": "sub", "tokens": list(tokens), "mode": "full", "interval_ms": 0, "snapshot": False}
            found: list[dict[str, Any]] = []
            raw = bytearray()
            with trio.fail_after(10):
                while not any(one["t"] == "ticks" for one in found):
                    for data in protocol.data_to_send():
                        await stream.send_all(data)
                    data = await stream.receive_some()
                    raw += data
                    protocol.receive_data(data)
                    for event in protocol.events_received():
                        if isinstance(event, Frame):
                            found.append(json.loads(event.data))
                            if found[-1]["t"] == "auth_ok":
                                protocol.send_text(json.dumps(ask).encode())
                            if found[-1]["t"] == "ack":
                                served.ctx.publish(rows(*tokens))
            assert len(found[-1]["rows"]) == 300
            assert (len(raw) < 20_000) is compressed


async def test_a_deflate_bomb_is_stopped_at_the_limit_of_a_message(serve: Serve) -> None:
    async with serve(compress=True) as served:
        extra = ("Sec-WebSocket-Extensions: permessage-deflate",)
        stream = await trio.open_tcp_stream("127.0.0.1", served.port)
        async with stream:
            packer = zlib.compressobj(wbits=-15)
            bomb = packer.compress(bytes(60_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
            head = "\r\n".join(
                ["GET /v1/stream HTTP/1.1", *served.upgrade, *extra, f"Authorization: Bearer {KEY}", "", ""]
            )
            frame = b"\xc1\xfe" + len(bomb[:60_000]).to_bytes(2) + b"\0\0\0\0" + bomb[:60_000]
            await stream.send_all(head.encode())
            await stream.receive_some()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            await stream.send_all(frame)
            answer = b""
            with trio.fail_after(5):
                while b"\x88" not in answer:
                    answer += await stream.receive_some()
            assert answer[answer.index(b"\x88") + 2 :][:2] == (1009).to_bytes(2)
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 5_000


# -- limits ------------------------------------------------------------------------------------------------


async def test_there_are_so_many_connections(serve: Serve) -> None:
    async with serve(limits={"connections": 2}) as served, served.raw(), served.raw():
        status, answer = await served.knock()
        assert status == 503
        assert "Retry-After" in answer
        assert served.ctx.counts["refused_connections"] == 1


async def test_an_address_has_so_many(serve: Serve) -> None:
    async with serve(limits={"per_address": 2}) as served, served.raw(), served.raw():
        assert (await served.knock())[0] == 429


async def test_an_address_has_so_many_that_are_not_known(serve: Serve) -> None:
    async with serve(limits={"unknown_per_address": 2}) as served:
        async with served.raw(), served.raw(key=None), served.raw(key=None):
            assert (await served.knock())[0] == 429
        await served.alone()
        assert (await served.knock())[0] == 101


async def test_an_address_may_not_come_too_often(serve: Serve) -> None:
    async with serve(limits={"new_per_second": 0.3}) as served:
        assert [(await served.knock())[0] for _ in range(4)] == [101, 101, 101, 429]


async def test_a_flood_from_one_address_does_not_keep_others_out(serve: Serve) -> None:
    async with serve() as served:
        before = descriptors()

        async def flood() -> None:
            for _ in range(20):
                with suppress(OSError, ValueError):
                    await served.knock(raw=b"GET /v1/stream HTTP/1.1\r\n\r\n")

        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(flood)
        counts = served.ctx.counts
        assert counts["refused_rate"] + counts["refused_unknown_per_address"] > 400
        other = await trio.open_tcp_stream("127.0.0.1", served.port, local_address="127.0.0.2")
        async with served.connect(stream=other) as client:
            await client.login()
        await served.alone()
        with trio.fail_after(5):
            while descriptors() > before:
                await trio.sleep(0.05)
        assert counts["failed_connections"] == 0


async def test_those_that_never_say_who_they_are_cost_little_and_are_sent_away(serve: Serve) -> None:
    limits = dict.fromkeys(("unknown_per_address", "per_address", "new_per_second"), 1000)
    async with serve(limits=limits, auth_deadline="1s") as served, AsyncExitStack() as stack:
        gc.collect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        raws = [await stack.enter_async_context(served.raw(key=None)) for _ in range(100)]
        assert (
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 3_000 * 2
        )  # KiB, with our own ends
        assert {await raw.close_code() for raw in raws} == {4001}
        assert served.ctx.counts["auth_timeouts"] == 100


async def test_a_proxy_that_is_trusted_says_who_calls(serve: Serve) -> None:
    async with serve(trusted_proxies=["127.0.0.0/8"], limits={"per_address": 1}) as served:
        for forwarded, status, peer in [
            ("X-Forwarded-For: 9.9.9.9, 203.0.113.5, 127.0.0.9", 101, "203.0.113.5"),
            ("X-Forwarded-For: nonsense", 101, "127.0.0.1"),
        ]:
            assert (await served.knock("/v1/stream", forwarded))[0] == status
            assert served.ctx.requests[-1].peer == peer
            await served.alone()
        async with served.raw():
            assert (await served.knock("/v1/stream"))[0] == 429


async def test_when_there_are_no_descriptors_left_others_wait_and_are_served(serve: Serve) -> None:
    async with serve() as served:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        waiting = trio.socket.socket()
        # descriptors are given out from the lowest that is free, and none below this limit is
        spare = os.dup(0)
        os.close(spare)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (spare, hard))
            await waiting.connect(("127.0.0.1", served.port))
            with trio.fail_after(5):
                while not served.ctx.counts["refused_no_room"]:
                    await trio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        waiting.close()
        assert (await served.knock())[0] == 101


# -- slow clients ------------------------------------------------------------------------------------------


async def test_a_client_that_stops_reading_goes_and_delays_no_other(serve: Serve) -> None:
    tokens = range(1, 301)
    async with serve(stall="300ms") as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        async with served.raw(receive_buffer=4096) as stalled, served.client() as good:
            ask = {"op": "sub", "tokens": list(tokens), "mode": "full", "interval_ms": 0, "snapshot": False}
            payload = json.dumps(ask).encode()
            await stalled.send(b"\x81\xfe" + len(payload).to_bytes(2) + b"\0\0\0\0" + payload)
            await good.send(ask.pop("op"), **ask)
            await good.until("ack")
            delays: list[float] = []
            with trio.fail_after(10):
                while len(served.server.connections) > 1:
                    sent = trio.current_time()
                    served.ctx.publish(rows(*tokens))
                    await good.until("ticks")
                    delays.append(trio.current_time() - sent)
                    await trio.sleep(0.002)
            assert served.ctx.counts["ended_slow_client"] == 1
            assert served.ctx.counts["rows_merged"] > 0
            assert statistics.quantiles(delays, n=20)[-1] < 0.25, "the good one waited for the stalled one"
            async with served.connect() as again:
                assert (await again.login())["previous"] == "slow_client"


async def test_a_client_that_reads_slowly_gets_the_newest_and_is_told_what_was_merged(serve: Serve) -> None:
    tokens = range(1, 301)
    async with serve() as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        async with served.client() as client:
            await client.send("sub", tokens=list(tokens), mode="full", interval_ms=0, snapshot=False)
            await client.until("ack")
            price = 0.0
            (connection,) = served.server.connections.values()
            with trio.fail_after(20):
                while not connection.clogged:
                    served.ctx.publish(rows(*tokens, price=(price := price + 1)))
                    await trio.sleep(0)
                for _ in range(12):  # three flushes and more that come a second late
                    served.ctx.publish(rows(*tokens, price=(price := price + 1)))
                    await trio.sleep(0.15)
                gap = await client.until("gap")
            assert gap["reason"] == "slow_client"
            assert gap["conflated"] >= 300
            newest = {row[0]: row[5] for message in client.seen for row in message.get("rows", ())}
            assert set(newest.values()) == {price}
            frames = [message["fs"] for message in client.seen if "fs" in message]
            assert frames == list(range(1, len(frames) + 1))


async def test_a_client_that_wants_every_tick_and_is_too_slow_goes(serve: Serve) -> None:
    tokens = range(1, 301)
    async with serve(stream={"buffer": "64KiB"}) as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        async with served.client() as client:
            await client.send("sub", tokens=list(tokens), interval_ms=0, delivery="stream", snapshot=False)
            await client.until("ack")
            with trio.fail_after(10):
                while served.server.connections:
                    served.ctx.publish(rows(*tokens))
                    await trio.sleep(0)
            assert served.ctx.counts["ended_slow_client"] == 1


async def test_a_client_that_wants_every_tick_may_rather_be_told_what_it_misses(serve: Serve) -> None:
    tokens = range(1, 301)
    async with serve(stream={"buffer": "64KiB", "overflow": "drop_oldest"}) as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        async with served.client() as client:
            await client.send("sub", tokens=list(tokens), interval_ms=0, delivery="stream", snapshot=False)
            await client.until("ack")
            with trio.fail_after(10):
                while not served.ctx.counts["rows_dropped"]:
                    served.ctx.publish(rows(*tokens))
                    await trio.sleep(0)
            await served.settled()
            gap = await client.until("gap")
            seqs = [row[1] for message in client.seen for row in message.get("rows", ())]
            with trio.fail_after(10):
                while len(seqs) + gap["dropped"] < served.ctx.seq:
                    seqs += [row[1] for row in (await client.until("ticks"))["rows"]]
            assert seqs == sorted(set(seqs))
            missing = set(range(1, served.ctx.seq + 1)) - set(seqs)
            assert len(missing) == gap["dropped"]
            assert (min(missing), max(missing)) == (gap["since"], gap["until"])


async def test_a_client_that_lets_answers_pile_up_goes(serve: Serve) -> None:
    tokens = range(1, 301)
    async with serve(limits={"control_rate": 1_000_000}) as served:
        served.ctx.instruments.load([Instrument("kite", n, "NSE", f"S{n}") for n in tokens])
        async with served.client() as client:
            await client.send("sub", tokens=list(tokens), mode="full", interval_ms=0, snapshot=False)
            await client.until("ack")
            (connection,) = served.server.connections.values()
            with trio.fail_after(10):
                while not connection.clogged:
                    served.ctx.publish(rows(*tokens))
                    await trio.sleep(0)
                with suppress(trio_websocket.ConnectionClosed):
                    for number in range(300):
                        await client.send("ping", id=number)
                while served.server.connections:
                    await trio.sleep(0.01)
            assert served.ctx.counts["ended_slow_client"] == 1


# -- coming and going --------------------------------------------------------------------------------------


@pytest.mark.full
async def test_five_hundred_clients_come_and_go_and_leave_nothing(serve: Serve) -> None:
    async with serve(limits={"new_per_second": 1000, "per_key": 1000, "per_address": 1000}) as served:

        def baseline() -> tuple[int, int]:
            gc.collect()
            return descriptors(), trio.lowlevel.current_statistics().tasks_living

        async def visit(number: int, limiter: trio.CapacityLimiter) -> None:
            async with limiter, served.raw() as raw:
                payload = json.dumps(
                    {"op": "sub", "tokens": [INFY, TCS], "interval_ms": (0, 50)[number % 2]}
                ).encode()
                await raw.send(b"\x81" + bytes((0x80 | len(payload),)) + b"\0\0\0\0" + payload)
                while b'"snapshot"' not in (await raw.frame())[1]:
                    pass
                served.ctx.publish(rows(INFY, TCS))
                if number % 3:
                    await raw.until(1)

        await visit(0, trio.CapacityLimiter(1))
        await served.alone()
        before = baseline()
        limiter = trio.CapacityLimiter(50)
        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(visit, number, limiter)
        await served.alone()
        assert baseline() == before
        face = served.server._faces[0]
        assert (len(face.groups), len(face.clients)) == (0, 0)
        assert face.shared.wants._owners == {}
        assert served.ctx.counts["failed_connections"] == 0


async def test_clients_are_sent_away_when_the_sink_stops(serve: Serve) -> None:
    async with serve(drain="200ms") as served, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(served.client()) for _ in range(5)]
        served.ctx.stopping.set()
        codes = [await client.closed() for client in clients]
        assert codes == [(4000, "draining")] * 5
        for client in clients:
            (bye,) = [message for message in client.seen if message["t"] == "bye"]
            assert bye["reason"] == "draining"
            assert bye["reconnect_after_ms"][0] < bye["reconnect_after_ms"][1]


async def test_new_clients_are_not_taken_when_the_sink_stops(serve: Serve) -> None:
    async with serve(drain="500ms") as served, served.client() as client:
        served.ctx.stopping.set()
        await client.until("bye")
        with trio.move_on_after(0.2), pytest.raises((OSError, ValueError)):
            await served.knock()
        assert len(served.server.connections) <= 1


async def test_what_goes_wrong_with_one_client_ends_that_one_alone(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as served, served.client() as good, served.client() as bad:
        face = served.server._faces[0]
        client = next(one for one in face.clients if one.connection.id.endswith("-2"))

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(client, "tell", fail)
        await bad.send("ping")
        assert (await bad.closed())[0] == 1011
        await good.send("ping", id=1)
        assert (await good.until("pong"))["id"] == 1
        assert served.ctx.counts["failed_connections"] == 1


async def test_how_it_stands_is_reported(serve: Serve) -> None:
    async with serve() as served, served.client():
        with trio.fail_after(3):
            await served.ctx.until(
                lambda: served.ctx.reports and served.ctx.reports[-1][2].get("clients_v1") == 1
            )
        assert served.ctx.reports[-1][0] == "serving"
