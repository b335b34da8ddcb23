"""The WebSocket sink against programs as they are usually written: CPU of the server alone, at saturation.

Server and clients are processes of their own. The clients are one light reader of many sockets; the server's CPU time
is the operating system's. Every contestant serves the same ticks, in the same Kite frames, to the same clients.
"""

import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from harness import environment

CLIENTS = int(os.environ.get("CLIENTS", "100"))
CURVE = ((1, 10, 100, 1000), (10, 300, 9000))
"""Clients, and instruments of each."""
CURVE_MOST = int(os.environ.get("CURVE_MOST", "1000000"))
"""Of what is subscribed together: a million takes about half a gigabyte."""
REPEATS = int(os.environ.get("REPEATS", "3"))
KEY = "the-key"


def main() -> None:
    """Print the tables."""
    print(f"websocket: {CLIENTS} clients, full packets, JSON; median of {REPEATS} interleaved runs\n")
    _table(
        "broadcast: every client wants all 256 instruments, which come in frames of 256",
        {"instruments": 256, "each": 256, "per_frame": 256},
        _with_nats({"tickerd": 400, "websockets-broadcast": 8, "trio-websocket": 3}, 40),
        {"nats-server": 3, "websockets-broadcast": 30, "trio-websocket": 100},
    )
    _table(
        "filtered: every client wants 300 of 9,000 instruments of its own, which come in frames of 200",
        {"instruments": 9000, "each": 300, "per_frame": 200},
        _with_nats({"tickerd": 900, "trio-websocket": 30}, 900),
        {"nats-server": 2},
    )
    _curve()
    if not shutil.which("nats-server"):
        print("nats-server is not installed: not compared (make test-tools)")
    print(environment(("trio", "websockets", "trio-websocket", "orjson")))


def _table(title: str, load: dict[str, int], frames: dict[str, int], goals: dict[str, int]) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in frames}
    for _ in range(REPEATS):
        for name, count in frames.items():
            found[name].append(_run(name, {**load, "frames": count}))
    print(f"{title}\n\n{'':24}{'µs/delivery':>14}{'ticks/s/core':>14}{'tickerd is':>12}{'goal':>8}")
    ours = statistics.median(cost for cost, _ in found["tickerd"])
    for name, runs in found.items():
        cost, rate = (statistics.median(column) for column in zip(*runs, strict=True))
        ratio = "" if name == "tickerd" else f"{cost / ours:.0f}x"
        goal = f"≥{goals[name]}x" if name in goals else ""
        print(f"{name:24}{cost:14.3f}{rate:14,.0f}{ratio:>12}{goal:>8}")
    print()


def _with_nats(frames: dict[str, int], count: int) -> dict[str, int]:
    return {**frames, "nats-server": count} if shutil.which("nats-server") else frames


def _curve() -> None:
    """Deliveries per CPU-second, however many clients want however much of 9,000 instruments."""
    clients, each = CURVE
    print("curve: deliveries per CPU-second, tickerd, frames of 200 of 9,000 instruments\n")
    print(f"{'clients':>12}" + "".join(f"{f'{n:,} each':>16}" for n in each))
    for count in clients:
        cells = []
        for wanted in each:
            load = {"instruments": 9000, "each": wanted, "per_frame": 200, "clients": count}
            per_frame = count * wanted * 200 / 9000
            load["frames"] = round(min(900, max(45, 1_500_000 / per_frame)))
            too_much = count * wanted > CURVE_MOST
            cells.append("-" if too_much else f"{1e6 / _run('tickerd', load)[0]:,.0f}")
        print(f"{count:12,}" + "".join(f"{cell:>16}" for cell in cells))
    print()


def _run(name: str, load: dict[str, int]) -> tuple[float, float]:
    """Server CPU in microseconds for each delivery, and ticks per second of one core."""
    load = {"clients": CLIENTS, **load}
    if name == "nats-server":
        return _run_nats(load)
    cpus = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    server = _child(cpus[0], "serve", name, json.dumps(load))
    port = int(_line(server))
    reader = _child(cpus[1], "read", name, str(port), json.dumps(load))
    assert _line(reader) == "ready"
    print("go", file=server.stdin, flush=True)
    said = json.loads(_line(server))
    delivered = int(_line(reader))
    for process in (server, reader):
        process.communicate(timeout=30)
    ticks = load["frames"] * load["per_frame"]
    return said["cpu"] / delivered * 1e6, ticks / said["cpu"]


NATS = """
listen: "127.0.0.1:{port}"
websocket {{ listen: "127.0.0.1:{web}", no_tls: true }}
"""


def _run_nats(load: dict[str, int]) -> tuple[float, float]:
    """The same rows as messages, one subject for each instrument; their publisher is this process."""
    cpus = (sorted(os.sched_getaffinity(0)) * 2)[:2]
    with tempfile.TemporaryDirectory() as folder:
        port, web = _free_port(), _free_port()
        conf = Path(folder, "nats.conf")
        conf.write_text(NATS.format(port=port, web=web))
        command = ["taskset", "-c", str(cpus[0]), "nats-server", "-c", str(conf), "-l", f"{folder}/log"]
        server = subprocess.Popen(command)
        try:
            with _dial(port) as publisher, _dial(web):
                publisher.sendall(b'CONNECT {"verbose":false}\r\n')
                reader = _child(cpus[1], "read", "nats-server", str(web), json.dumps(load))
                assert _line(reader) == "ready"
                messages = [_published(ticks) for ticks in _ticks(load)]
                began = _cpu_of(server.pid)
                for some in messages:
                    publisher.sendall(some)
                delivered = int(_line(reader))
                took = _cpu_of(server.pid) - began
                reader.communicate(timeout=30)
        finally:
            server.terminate()
            server.wait()
    return took / delivered * 1e6, load["frames"] * load["per_frame"] / took


def _published(ticks: Any) -> bytes:
    import orjson

    rows = [(tick[0], orjson.dumps(tick)) for tick in ticks]
    return b"".join(b"PUB t.%d %d\r\n%s\r\n" % (token, len(row), row) for token, row in rows)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


def _dial(port: int) -> socket.socket:
    for _ in range(100):
        with suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.05)
    raise TimeoutError("nats-server does not listen")


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(cpu: int, *args: str) -> "subprocess.Popen[str]":
    command = ["taskset", "-c", str(cpu), sys.executable, str(Path(__file__).resolve()), *args]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "a child has failed"
    return line


def _wanted(client: int, load: dict[str, int]) -> list[int]:
    step, count, each = 7 * client + 1, load["instruments"], load["each"]
    return sorted({(step + n * count // each) % count + 1 for n in range(each)})


def _frames(load: dict[str, int]) -> list[list[bytes]]:
    """Packets, frame by frame; the same for everybody."""
    from tickerd.wire.kite.layout import FULL_PACKET

    made, token = [], 0
    for number in range(load["frames"]):
        packets = []
        for place in range(load["per_frame"]):
            token = token % load["instruments"] + 1
            price = 150_000 + (number * 37 + place) % 5000
            depth = [value for level in range(10) for value in (100 + level, price + level, 3)]
            packets.append(
                FULL_PACKET.pack(
                    token, price, 7, price, 1_192_471, 256_443, 363_009, price, price, price, price,
                    1_625_461_887, 0, 0, 0, 1_625_461_887, *depth,
                )
            )  # fmt: skip
        made.append(packets)
    return made


def _deliveries(load: dict[str, int]) -> int:
    wanted = [set(_wanted(client, load)) for client in range(load["clients"])]
    tokens = [n % load["instruments"] + 1 for n in range(load["frames"] * load["per_frame"])]
    return sum(token in one for one in wanted for token in tokens)


# -- the reader --------------------------------------------------------------------------------------------


def read(name: str, port: int, load: dict[str, int]) -> None:
    """Many sockets in one loop, counting marks of rows in the bytes and nothing else."""
    sockets = [_connect(name, port, client, load) for client in range(load["clients"])]
    print("ready", flush=True)
    poll = select.epoll()
    for sock in sockets:
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
    by_fd = {sock.fileno(): sock for sock in sockets}
    total, wanted = 0, _deliveries(load)
    mark = b",1625461887,0,"  # stands once in each row
    tails = dict.fromkeys(by_fd, b"")
    while total < wanted:
        for fd, _ in poll.poll(20) or [(-1, 0)]:
            assert fd >= 0, f"{total} of {wanted} have come"
            data = tails[fd] + by_fd[fd].recv(2**20)
            total += data.count(mark)
            tails[fd] = data[-len(mark) + 1 :]
    print(wanted, flush=True)
    sys.stdin.read()  # clients that leave would cost the server something


def _connect(name: str, port: int, client: int, load: dict[str, int]) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
    path = {"tickerd": "/v1/stream", "nats-server": "/"}.get(name, f"/{client}")
    lines = [
        f"GET {path} HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"Authorization: Bearer {KEY}",
    ]  # fmt: skip
    sock.sendall("\r\n".join([*lines, "", ""]).encode())
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += sock.recv(65_536)
    wanted = _wanted(client, load)
    if name == "nats-server":
        subjects = ["t.>"] if len(wanted) == load["instruments"] else [f"t.{token}" for token in wanted]
        lines = [f"SUB {subject} {n}" for n, subject in enumerate(subjects, 1)]
        _ask(sock, "\r\n".join(['CONNECT {"verbose":false}', *lines, "PING", ""]), b"PONG", first=0x82)
    if name == "tickerd":
        for at in range(0, len(wanted), 3000):
            ask = {
                "op": "sub", "tokens": wanted[at : at + 3000], "mode": "full", "interval_ms": 0, "delivery": "stream",
            }  # fmt: skip
            _ask(sock, json.dumps(ask), b'"last":true')
    return sock


def _ask(sock: socket.socket, text: str, answer: bytes, first: int = 0x81) -> None:
    payload = text.encode()
    sock.sendall(bytes((first, 0xFE)) + len(payload).to_bytes(2) + b"\0\0\0\0" + payload)
    seen = b""
    while answer not in seen:
        seen += sock.recv(65_536)


# -- the servers -------------------------------------------------------------------------------------------


def serve(name: str, load: dict[str, int]) -> None:
    """One contestant."""
    {"tickerd": _tickerd, "websockets-broadcast": _websockets, "trio-websocket": _trio_websocket}[name](load)


class _Meter:
    """CPU time of this process while it works."""

    def __enter__(self) -> None:
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        print(json.dumps({"cpu": time.process_time() - self._began}), flush=True)
        sys.stdin.read()


class _Everybody:
    """Lets in whoever shows the key."""

    def __init__(self) -> None:
        from tickerd.plugin import Limits, Principal

        self._principal = Principal(
            id="key bench", scopes=frozenset({"ticks:read"}), limits=Limits(connections=10**6)
        )

    async def authenticate(self, request: Any) -> Any:
        return self._principal

    def blocked(self, request: Any) -> None:
        return None

    def authorize(self, principal: Any, scope: str) -> bool:
        return scope == "ticks:read"


def _tickerd(load: dict[str, int]) -> None:
    import tempfile

    import structlog
    import trio

    from tickerd.dataflow.hub import Hub
    from tickerd.instruments import InstrumentTable
    from tickerd.plugin import Batch, Clock, Instrument
    from tickerd.runtime.context import ServingContext
    from tickerd.runtime.house import House
    from tickerd.runtime.listeners import Listeners
    from tickerd.runtime.unit import Unit
    from tickerd.state import Database, StateDirectory
    from tickerd.wire.kite import KITE, frame
    from tickerd_plugins.websocket import WebsocketSink
    from tickerd_plugins.websocket.options import WebsocketOptions

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    class Sink(Unit):
        kind = "sink"

        async def body(self, attempt: Any) -> None:
            del attempt

    async def run() -> None:
        frames = [frame.join(packets) for packets in _frames(load)]
        limits = dict.fromkeys(("connections", "per_address", "unknown_per_address", "new_per_second"), 10**6)
        with tempfile.TemporaryDirectory() as folder, StateDirectory(Path(folder)) as state:
            async with Database(state.path) as db, trio.open_nursery() as nursery:
                clock, table, listeners = Clock(), InstrumentTable(), Listeners()
                hub = Hub(1)
                house = House(hub, table, clock, state, listeners, db, access=_Everybody())
                namespace = table.namespace("kite")
                namespace.load(Instrument("kite", n + 1, "NSE", f"S{n}") for n in range(load["instruments"]))
                house.wants.join("kite", namespace)
                with closing(socket.socket()) as free:
                    free.bind(("127.0.0.1", 0))
                    port = free.getsockname()[1]
                options = WebsocketOptions.model_validate({"listen": f"127.0.0.1:{port}", "limits": limits})
                unit = Sink("stream", clock, lambda _: None)
                ctx = ServingContext(unit, "stream", house, trio.Event())
                await nursery.start(
                    lambda task_status: WebsocketSink(options).run(ctx, task_status=task_status)
                )
                print(port, flush=True)
                await trio.to_thread.run_sync(sys.stdin.readline)
                await trio.sleep(1)
                for _ in range(3):
                    await trio.sleep(0.3)  # groups are put together
                with _Meter():
                    await _publish(hub, namespace, frames, Batch, KITE, clock)
                nursery.cancel_scope.cancel()

    async def _publish(hub: Any, namespace: Any, frames: Any, batch: Any, codec: Any, clock: Any) -> None:
        for number, raw in enumerate(frames):
            hub.publish(batch.read(codec, raw, connection=1, ts_recv=clock.now_ns()), "kite", namespace)
            if number % 4 == 3:
                await trio.sleep(0.001)
        await trio.sleep(0.2)
        while any(subscription.queued_ticks for subscription in hub._subscriptions):  # noqa: ASYNC110
            await trio.sleep(0.01)
        await trio.sleep(0.2)

    trio.run(run)


def _ticks(load: dict[str, int]) -> Any:
    """The same rows, one after the other."""
    from tickerd.plugin import Batch
    from tickerd.testing import stamped
    from tickerd.wire.kite import KITE, frame
    from tickerd_plugins.websocket.rows import flat, reads

    for packets in _frames(load):
        batch = stamped(Batch.read(KITE, frame.join(packets), connection=1, ts_recv=time.time_ns()))
        (found,) = reads(batch)
        yield flat(found.run(range(len(packets))))


def _websockets(load: dict[str, int]) -> None:
    import asyncio

    import orjson
    from websockets.asyncio.server import broadcast
    from websockets.asyncio.server import serve as listen

    async def run() -> None:
        connected: set[Any] = set()

        async def handler(connection: Any) -> None:
            connected.add(connection)
            await connection.wait_closed()

        async with listen(handler, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            print(next(iter(server.sockets)).getsockname()[1], flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            with _Meter():
                for ticks in _ticks(load):
                    for tick in ticks:
                        broadcast(connected, orjson.dumps(tick).decode())
                        await asyncio.sleep(0)
                while any(one.transport.get_write_buffer_size() for one in connected):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    asyncio.run(run())


def _trio_websocket(load: dict[str, int]) -> None:
    import orjson
    import trio
    import trio_websocket

    wanted = [set(_wanted(client, load)) for client in range(load["clients"])]

    async def run() -> None:
        connected: list[tuple[set[int], Any]] = []

        async def handler(request: Any) -> None:
            connection = await request.accept()
            connected.append((wanted[int(request.path.strip("/"))], connection))
            with suppress(trio_websocket.ConnectionClosed):
                await connection.get_message()

        async with trio.open_nursery() as nursery:
            listen = lambda task_status: trio_websocket.serve_websocket(  # noqa: E731
                handler, "127.0.0.1", 0, None, task_status=task_status
            )
            server = await nursery.start(listen)
            print(server.port, flush=True)
            await trio.to_thread.run_sync(sys.stdin.readline)
            with _Meter():
                for ticks in _ticks(load):
                    for tick in ticks:
                        for wants, connection in connected:
                            if tick[0] in wants:
                                await connection.send_message(orjson.dumps(tick).decode())
            nursery.cancel_scope.cancel()

    trio.run(run)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], json.loads(sys.argv[3]))
    elif sys.argv[1:2] == ["read"]:
        read(sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4]))
    else:
        main()
