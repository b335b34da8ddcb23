"""WebSocket clients that stall in a crowd, guess keys, or send what never ends, beside one that behaves."""

import json
import os
import random
import re
import select
import socket
import threading
import time
import zlib
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tickerd.cli.client import Client
from tickerd_plugins.simulator import read_numbered

CROWD = 100
GUESSES = 1000
WAIT_S = 60
YAML = """
sources:
{sources}
sinks:
  archive: {{use: file, path: "ticks/{{date}}/{{exchange}}.jsonl"}}
  stream:
    use: websocket
    listen: ["unix:stream.sock", "127.0.0.1:{port}"]
    auth: [keys]
    compress: true
    limits: {limits}
auth: {{keys: {{use: api_key}}}}
control: {{listen: "unix:api.sock"}}
state: {{dir: state}}
journal: {{min_free: 1MiB}}
"""
IDLE = "  idle: {use: bad, how: crash, after: 3600}"
BUSY = """
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: {tokens}, mode: full}}]
"""
UPGRADE = (
    "GET /v1/stream HTTP/1.1",
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
TEXT, CONTINUED, PING, PONG, FIN, COMPRESSED = 1, 0, 9, 10, 0x80, 0x40


def frame(first, payload=b""):
    """A client's frame; its mask changes nothing."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 2**16:
        head = bytes((first, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8)
    return head + b"\0\0\0\0" + payload


def until(condition, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Peer:
    """One client, by hand."""

    def __init__(self, address, *headers, receive_buffer=0, source=None):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(WAIT_S)
        try:
            self._open(address, headers)
        except OSError:
            self.socket.close()
            raise

    def _open(self, address, headers):
        self.socket.connect(address)
        self.socket.sendall("\r\n".join([*UPGRADE, *headers, "", ""]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(65536) or self._over()
        self.status = int(head.split()[1])
        self._data = head.partition(b"\r\n\r\n")[2]

    @staticmethod
    def _over():
        raise ConnectionResetError("the connection has ended")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, **message):
        self.socket.sendall(frame(FIN | TEXT, json.dumps(message).encode()))

    def _take(self, count):
        while len(self._data) < count:
            self._data += self.socket.recv(65536) or self._over()
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def next(self):
        """Opcode and payload of the next frame; pings are answered."""
        while True:
            first, size = self._take(2)
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8))
            payload = self._take(size)
            if first & 15 != PING:
                return first & 15, payload
            self.socket.sendall(frame(FIN | PONG, payload))

    def until(self, kind):
        """The next message of that type."""
        while True:
            opcode, payload = self.next()
            assert opcode != 8, payload
            if opcode == TEXT and (message := json.loads(payload))["t"] == kind:
                return message

    def close_code(self):
        """Of the close frame that comes; None when the connection is cut without one."""
        with suppress(ConnectionError):
            while True:
                opcode, payload = self.next()
                if opcode == 8:
                    return int.from_bytes(payload[:2])
        return None

    def flood(self, parts):
        """Send all of it, or as much as is taken."""
        with suppress(ConnectionError, TimeoutError):
            for part in parts:
                self.socket.sendall(part)

    def is_cut(self):
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLRDHUP)
        return bool(poll.poll(0))


class Streaming:
    """A daemon with a stream, and what is known of it."""

    def __init__(self, daemon, sources, limits="{per_key: 200}"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = daemon(YAML.format(sources=sources, port=self.port, limits=limits))
        self.process.wait_for("ready")
        self.local = f"{self.process.directory}/stream.sock"
        self.tcp = ("127.0.0.1", self.port)
        self.key = (self.process.directory / "state/bootstrap.key").read_text().split()[-1]
        self._api = Client(f"unix:{self.process.directory}/api.sock", timeout_s=30)

    @property
    def _proc(self):
        return Path(f"/proc/{self.process.process.pid}")

    def sink(self):
        return self._api.get("/v1/sinks/stream")

    def alone(self):
        """Until no client is left, also none that is only waited for."""
        until(lambda: self.sink()["facts"].get("connections") == 0)

    def descriptors(self):
        return len(os.listdir(self._proc / "fd"))  # noqa: PTH208 - a list at one moment

    def cpu_s(self):
        used = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")

    def peak_kb(self):
        return int(re.search(r"VmHWM:\s+(\d+)", (self._proc / "status").read_text())[1])

    def forget_peak(self):
        (self._proc / "clear_refs").write_text("5")

    def stop(self):
        self.process.signal()
        assert self.process.end(60) == 0


@pytest.fixture
def idle(daemon):
    """A daemon whose source says nothing."""
    streaming = Streaming(daemon, IDLE)
    with Peer(streaming.local):  # what is loaded for the first client is there
        pass
    streaming.alone()
    yield streaming
    assert "Traceback" not in streaming.process.log_file.read_text()
    streaming.stop()


def tokens(rest, count):
    from urllib.request import urlopen

    with urlopen(f"{rest}/instruments") as answer:
        lines = answer.read().decode().splitlines()[1:]
    return [int(line.split(",")[0]) for line in lines if ",NSE,NSE" in line][:count]


def watch(streaming, wanted, over, seen):
    """A client that reads; its frames are numbered, so that one which is missing shows."""
    with Peer(streaming.local) as good:
        good.say(op="sub", id=1, tokens=wanted, mode="full", interval_ms=250, snapshot=False)
        assert not good.until("ack")["rejected"]
        while not over.is_set():
            message = good.until("ticks")
            seen.append(message["fs"])


@pytest.mark.full
def test_a_hundred_clients_that_stall_at_once_all_go_and_the_feed_loses_nothing(daemon, simulator, tmp_path):
    log = tmp_path / "numbers"
    at = simulator("--rate", "3000", "--numbered", str(log))
    wanted = tokens(at["rest"], 300)
    streaming = Streaming(daemon, BUSY.format(**at, tokens=json.dumps(wanted)))
    over, seen = threading.Event(), []
    reader = threading.Thread(target=watch, args=(streaming, wanted[:50], over, seen))
    reader.start()
    try:
        until(lambda: len(seen) > 3)
        before = streaming.descriptors()
        with ExitStack() as stack:
            crowd = [stack.enter_context(Peer(streaming.local)) for _ in range(CROWD)]
            for one in crowd:
                one.say(op="sub", id=1, tokens=wanted, mode="full", interval_ms=0, snapshot=False)
            until(lambda: all(one.is_cut() for one in crowd))
        assert streaming.sink()["counts"]["ended_slow_client"] == CROWD
        until(lambda: streaming.sink()["facts"]["connections"] == 1)
        until(lambda: streaming.descriptors() <= before + 1)
        had = len(seen)
        until(lambda: len(seen) > had + 5)
    finally:
        over.set()
        reader.join(WAIT_S)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    streaming.stop()
    rows = [row for row in streaming.process.rows() if "record" not in row]
    numbers = {row["volume_traded"] for row in rows}
    low, high = min(numbers), max(numbers)
    sent = {n for one in read_numbered(log) for n, _ in one.numbers() if low <= n <= high}
    assert not sent - numbers
    assert len({row["connection"] for row in rows}) == 1


VISITORS, A_SECOND = 500, 20
"""Clients, and connections of an address that are taken each second; ten times as many at once."""


class Visitors:
    """Clients that come, look at the prices, stay until they are sent away, and come back when they are told to."""

    def __init__(self, streaming, wanted):
        self._streaming = streaming
        self._wanted = wanted
        self._over = threading.Event()
        self.threads = [threading.Thread(target=self._live, daemon=True) for _ in range(VISITORS)]
        self.came = []
        """When each connection was taken, and in which epoch."""
        self.saw = []
        """Epoch, and the first price of each instrument."""
        self.byes = []

    def __enter__(self):
        for one in self.threads:
            one.start()
        return self

    def __exit__(self, *_):
        self._over.set()

    def in_epoch(self, epoch):
        return sum(one == epoch for one, _ in self.saw)

    def _live(self):
        while not self._over.is_set():
            with suppress(OSError, AssertionError):
                window = self._visit()
                if window is not None:
                    self._over.wait(random.uniform(*window) / 1000)
                    continue
            self._over.wait(random.uniform(0.2, 1.5))

    def _visit(self):
        with Peer(self._streaming.tcp, f"Authorization: Bearer {self._streaming.key}") as peer:
            if peer.status != 101:
                return None
            welcome = peer.until("welcome")
            self.came.append((time.monotonic(), welcome["epoch"]))
            peer.say(op="sub", id=1, tokens=self._wanted, mode="ltp", interval_ms=250)
            names = welcome["columns"]["ltp"]
            token, price = names.index("instrument_token"), names.index("last_price")
            prices = {}
            while len(prices) < len(self._wanted):
                opcode, payload = peer.next()
                assert opcode == TEXT
                for row in json.loads(payload).get("rows", ()):
                    prices.setdefault(row[token], row[price])
            self.saw.append((welcome["epoch"], prices))
            bye = peer.until("bye")
            self.byes.append(bye["reason"])
            return bye["reconnect_after_ms"]


@pytest.mark.full
def test_after_a_restart_five_hundred_clients_come_back_one_after_the_other_and_see_the_same(
    daemon, simulator
):
    at = simulator("--rate", "0")
    wanted = tokens(at["rest"], 5)
    limits = f"{{per_key: 600, per_address: 600, new_per_second: {A_SECOND}}}"
    streaming = Streaming(daemon, BUSY.format(**at, tokens=json.dumps(wanted)), limits)
    with Visitors(streaming, wanted) as visitors:
        until(lambda: visitors.in_epoch(1) == VISITORS, seconds=180)
        streaming.stop()
        until(lambda: visitors.byes == ["draining"] * VISITORS)
        streaming.process.start()
        streaming.process.wait_for_ready_again()
        until(lambda: visitors.in_epoch(2) == VISITORS, seconds=180)
    times = sorted(when for when, epoch in visitors.came if epoch == 2)
    for number, when in enumerate(times):
        most = 11 * A_SECOND + A_SECOND * (when - times[0])  # a second's worth more: clients tell time, too
        assert number <= most, "more were let in than may come"
    assert len({tuple(sorted(prices.items())) for _, prices in visitors.saw}) == 1
    streaming.stop()


@pytest.mark.full
def test_a_thousand_wrong_keys_cost_little_and_lock_nobody_else_out(idle):
    before, lines = idle.cpu_s(), len(idle.process.log())
    statuses = []
    for number in range(GUESSES):
        with Peer(idle.tcp, f"Authorization: Bearer tkd_live_{number:012}_{'A' * 43}") as guess:
            statuses.append(guess.status)
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 50
    with Peer(idle.tcp) as locked_out:
        assert locked_out.status == 429
    with Peer(idle.tcp, f"Authorization: Bearer {idle.key}", source="127.0.0.2") as other:
        assert other.status == 101
        other.until("auth_ok")
    idle.alone()
    assert idle.cpu_s() - before < 20
    assert len(idle.process.log()) - lines < 100


@pytest.mark.full
@pytest.mark.parametrize(
    "parts",
    [
        [frame(TEXT), *[frame(CONTINUED) * 10_000] * 100],
        [frame(TEXT, b"{"), *[frame(CONTINUED, b" ") * 1000] * 100],
    ],
    ids=["a million that are empty", "a hundred thousand of one byte"],
)
def test_fragments_without_end_close_and_cost_no_memory(idle, parts):
    idle.forget_peak()
    before = idle.peak_kb()
    with Peer(idle.local) as one, Peer(idle.local) as good:
        one.flood(parts)
        assert one.close_code() in (1009, None)  # what it still sends may overtake the goodbye
        good.say(op="ping", id=7)
        assert good.until("pong")["id"] == 7
    idle.alone()
    assert idle.peak_kb() - before < 5_000


@pytest.mark.full
def test_a_frame_that_drips_closes_at_the_limit_of_a_message(idle):
    """A byte each second, so that something always comes; the limit is 10 s."""
    with Peer(idle.local) as one, Peer(idle.local) as good:
        drops = frame(FIN | TEXT, b"x" * 100)
        began = time.monotonic()
        for byte in drops:
            if one.is_cut() or (select.select([one.socket], [], [], 0)[0] and b"\x88" in _peek(one)):
                break
            one.flood([bytes((byte,))])
            time.sleep(1)
        assert time.monotonic() - began < len(drops) - 30
        assert one.close_code() == 1002
        good.say(op="ping", id=7)
        assert good.until("pong")["id"] == 7
    idle.alone()


def _peek(peer):
    with suppress(ConnectionError):
        return peer.socket.recv(65536, socket.MSG_PEEK)
    return b"\x88"


def bomb(size):
    """So many zeros."""
    packer = zlib.compressobj(wbits=-15)
    packed = [packer.compress(bytes(2**20)) for _ in range(size // 2**20)]
    return b"".join(packed) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]


def pieces(data, size):
    """A compressed message in fragments."""
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    firsts = [COMPRESSED | TEXT, *[CONTINUED] * (len(cut) - 1)]
    firsts[-1] |= FIN
    return [frame(first, part) for first, part in zip(firsts, cut, strict=True)]


@pytest.mark.full
@pytest.mark.parametrize(
    ("size", "piece"),
    [(60 * 2**20, 2**20), (900 * 2**20, 2**20), (900 * 2**20, 1000), (900 * 2**20, 60_000)],
    ids=["60 MB", "900 MB", "900 MB in small fragments", "900 MB in large fragments"],
)
def test_a_bomb_is_stopped_before_it_grows(idle, size, piece):
    deflate = "Sec-WebSocket-Extensions: permessage-deflate"
    with Peer(idle.local, deflate) as one:
        one.flood(pieces(bomb(2**20), 2**20))  # so that what inflating needs is there
        assert one.close_code() == 1009
    idle.alone()
    packed = pieces(bomb(size), piece)
    idle.forget_peak()
    before = idle.peak_kb()
    with Peer(idle.local, deflate) as one, Peer(idle.local) as good:
        one.flood(packed)
        assert one.close_code() in (1009, None)
        good.say(op="ping", id=7)
        assert good.until("pong")["id"] == 7
    idle.alone()
    assert idle.peak_kb() - before < 5_000
