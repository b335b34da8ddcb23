"""A program on the official client moves over: its ``root`` and its token are others, and it sees the same ticks."""

import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request

import pytest

pytestmark = pytest.mark.full

PROGRAM = """
import json, sys
from kiteconnect import KiteTicker

root, access_token = sys.argv[1:]
tokens = [408065, 256265]
ticker = KiteTicker("demo", access_token, root=root, reconnect_max_delay=5)

def say(event, **what):
    print(json.dumps({"event": event, **what}, default=str), flush=True)

def on_connect(ws, response):
    say("connect")
    ws.subscribe(tokens)
    ws.set_mode("full", tokens)

ticker.on_connect = on_connect
ticker.on_ticks = lambda ws, ticks: say("ticks", ticks=ticks)
ticker.on_order_update = lambda ws, data: say("order", data=data)
ticker.on_close = lambda ws, code, reason: say("close", code=code, reason=str(reason))
ticker.on_noreconnect = lambda ws: say("gave up")
ticker.connect()
"""
YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: ["NSE:INFY"], mode: ltp}}]
sinks:
  stream: {{use: websocket, listen: "127.0.0.1:{port}", auth: [keys], kite_compatible: {{path: /kite}}}}
auth: {{keys: {{use: api_key, accept: [query]}}}}
state: {{dir: state}}
"""


class Ticker:
    """A KiteTicker in a process of its own, writing what happens to it into a file."""

    def __init__(self, folder, name, root, token):
        self._file = folder / f"{name}.jsonl"
        self._out = self._file.open("wb")
        command = [sys.executable, "-c", PROGRAM, root, token]
        self.process = subprocess.Popen(command, stdout=self._out)

    def said(self, event):
        whole = self._file.read_text().rpartition("\n")[0]
        return [one for one in map(json.loads, whole.splitlines()) if one["event"] == event]

    def full(self, token=408065):
        """Ticks of one instrument in full mode."""
        ticks = [tick for one in self.said("ticks") for tick in one["ticks"]]
        return [tick for tick in ticks if tick["mode"] == "full" and tick["instrument_token"] == token]

    def until(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            assert self.process.poll() is None
            time.sleep(0.05)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self._out.close()


@pytest.fixture
def ticker(tmp_path):
    """``ticker(name, root, token)`` starts one."""
    started = []

    def start(name, root, token):
        started.append(Ticker(tmp_path, name, root, token))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def inject(sim, fault):
    body = json.dumps(fault).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{sim['rest']}/simulator/faults", body), timeout=10):
        pass


def clear(sim):
    request = urllib.request.Request(f"{sim['rest']}/simulator/faults", method="DELETE")
    with urllib.request.urlopen(request, timeout=10):
        pass


@pytest.fixture
def moved(simulator, daemon, ticker):
    """A client at the broker, and the same one at tickerd, which is at the broker."""
    sim = simulator("--rate", "100", "--instruments", "500", "--seed", "1")
    port = free_port()
    one = daemon(textwrap.dedent(YAML).format(ws=sim["ws"], rest=sim["rest"], port=port))
    one.wait_for("ready")
    key = (one.directory / "state" / "bootstrap.key").read_text().split()[-1]
    direct = ticker("direct", sim["ws"], "demo-token")
    through = ticker("through", f"ws://127.0.0.1:{port}/kite", key)
    for each in (direct, through):
        each.until(lambda each=each: len(each.full()) > 50)
    return sim, one, direct, through, key


def test_it_sees_the_ticks_that_the_broker_sends_and_all_of_them(moved):
    _, one, direct, through, key = moved
    through.until(lambda: len(through.full()) > 300)
    got = through.full()
    newest = got[-1]["volume_traded"]
    direct.until(lambda: direct.full()[-1]["volume_traded"] >= newest)
    sent = direct.full()
    volumes = [tick["volume_traded"] for tick in sent]
    first = volumes.index(got[1]["volume_traded"])  # what was shown at first is of a moment before
    assert got[1:300] == sent[first : first + 299]
    assert through.full(256265)
    assert key not in one.log_file.read_text()


def test_orders_arrive_and_an_outage_upstream_does_not_disconnect_it(moved):
    sim, one, direct, through, _ = moved
    inject(
        sim, {"fault": "text", "kind": "order", "data": {"order_id": "220303000308932", "status": "COMPLETE"}}
    )
    through.until(lambda: through.said("order"))
    assert through.said("order")[0]["data"]["order_id"] == "220303000308932"
    inject(sim, {"fault": "reject", "status": 503})
    inject(sim, {"fault": "drop"})
    direct.until(lambda: direct.said("close"))
    time.sleep(8)  # longer than any client bears silence
    before = len(through.full())
    clear(sim)
    through.until(lambda: len(through.full()) > before + 20, 60)
    assert not through.said("close")
    assert len(through.said("connect")) == 1
    one.signal(signal.SIGTERM)
    assert one.end(30) == 0


@pytest.mark.parametrize("why", ["connections of one key", "wrong keys from one address"])
def test_one_that_is_told_to_wait_says_so_and_comes_in_when_it_may(simulator, daemon, ticker, why):
    """With 429, which the broker answers too; the client tries again by itself, later and later."""
    sim = simulator("--rate", "100", "--instruments", "500", "--seed", "1")
    port = free_port()
    text = textwrap.dedent(YAML).format(ws=sim["ws"], rest=sim["rest"], port=port)
    one = daemon(text.replace("auth: [keys],", "auth: [keys], limits: {per_key: 1},"))
    one.wait_for("ready")
    key = (one.directory / "state" / "bootstrap.key").read_text().split()[-1]
    root = f"ws://127.0.0.1:{port}/kite"
    if why == "connections of one key":
        first = ticker("first", root, key)
        first.until(first.full)
        release = first.stop
    else:
        for _ in range(100):
            if guess(port) == 429:
                break
        else:
            pytest.fail("any number of wrong keys may be tried")
        release = None  # time does it
    waiting = ticker("waiting", root, key)
    waiting.until(lambda: len(waiting.said("close")) > 1)
    assert all("429" in said["reason"] for said in waiting.said("close"))
    if release:
        assert not waiting.said("connect")
        release()
    waiting.until(waiting.full, 180)
    assert len(waiting.said("connect")) == 1
    assert not waiting.said("gave up")
    assert key not in one.log_file.read_text()


def guess(port):
    """The status of an upgrade with a wrong key."""
    asked = (
        f"GET /kite?api_key=demo&access_token=tkd_live_{'A' * 12}_{'B' * 43} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    with socket.create_connection(("127.0.0.1", port), 30) as one:
        one.sendall("\r\n".join([*asked, "", ""]).encode())
        return int(one.recv(65536).split()[1])
