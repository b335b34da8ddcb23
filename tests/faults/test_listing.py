"""A new day while clients are subscribed: a token that ended is replaced, and the broker lists other instruments."""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kiteconnect import KiteConnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

WAIT_S = 150
ASK_AGAIN = 4011
INFY, TCS, SBIN = 408065, 2953217, 779521
YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token_file: token
    ws_url: {ws}
    rest_url: {rest}
    backoff_cap: 1s
sinks:
  archive: {{use: file, path: "ticks/{{date}}/all.jsonl", batch: {{max_wait: 20ms}}}}
  stream: {{use: websocket, listen: "unix:stream.sock"}}
control: {{listen: "unix:api.sock"}}
state: {{dir: state}}
journal: {{min_free: 1MiB}}
"""


class Broker:
    """Between the daemon and the simulator's REST API: passes on everything, and edits the list of instruments."""

    def __init__(self, at):
        self.at = at
        self.edits = []
        """(pattern, replacement) for each line."""
        broker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                headers["Accept-Encoding"] = "identity"
                try:
                    request = urllib.request.Request(broker.at["rest"] + self.path, headers=headers)
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        status, kind, body = answer.status, answer.headers["Content-Type"], answer.read()
                except urllib.error.HTTPError as error:
                    status, kind, body = error.code, error.headers["Content-Type"], error.read()
                if status == 200 and self.path.startswith("/instruments"):
                    body = broker.edited(body.decode()).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.rest = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def edited(self, text):
        for pattern, replacement in self.edits:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        return text

    def inject(self, **fault):
        request = urllib.request.Request(f"{self.at['rest']}/simulator/faults", json.dumps(fault).encode())
        urllib.request.urlopen(request, timeout=30).close()

    def clear(self):
        request = urllib.request.Request(f"{self.at['rest']}/simulator/faults", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def broker(simulator):
    made = Broker(simulator("--rate", "200", "--instruments", "500"))
    yield made
    made.close()


class Listener:
    """A client that keeps everything it is told."""

    def __init__(self, stream):
        self.stream = stream
        self.heard = []

    def ask(self, **request):
        """Ask, and give the answer."""
        self.stream.send(json.dumps(request))
        return self.until(lambda one: one["t"] == "ack" and one["id"] == request["id"], request)

    def until(self, condition, what):
        """The next message for which it is true."""
        end = time.monotonic() + WAIT_S
        while True:
            assert time.monotonic() < end, (what, self.heard[-5:])
            message = json.loads(self.stream.recv(timeout=WAIT_S))
            self.heard.append(message)
            if condition(message):
                return message

    @contextmanager
    def read_on(self):
        """Read meanwhile: who does not is sent away."""
        over = threading.Event()

        def read():
            while not over.is_set():
                with suppress(TimeoutError):
                    self.heard.append(json.loads(self.stream.recv(timeout=1)))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()

    def ticks_of(self, *tokens):
        """Until each of them has ticked."""
        missing = set(tokens)

        def all_came(message):
            missing.difference_update(row[0] for row in message.get("rows", ()) if message["t"] == "ticks")
            return not missing

        self.until(all_came, f"ticks of {missing}")


def refresh(process):
    """Now, and not at half past eight."""
    command = [sys.executable, "-m", "tickerd", "instruments", "refresh", "-c", "tickerd.yaml"]
    subprocess.run(command, cwd=process.directory, env=process.env, timeout=60, check=True)


def login(at, process):
    """Log in as the program does that writes the token for the daemon."""
    page = urllib.request.urlopen(f"{at['rest']}/connect/login?v=3&api_key=demo", timeout=30)
    with page:
        shown = page.read().decode().strip().removeprefix("request_token=")
    kite = KiteConnect("demo", root=at["rest"])
    session = kite.generate_session(shown, "demo-secret")
    (process.directory / "token").write_text(session["access_token"])
    return session["access_token"]


@contextmanager
def listening(process, *symbols):
    """A client, and the answer to what it asked for."""
    at = f"{process.directory}/stream.sock"
    with unix_connect(at, "ws://localhost/v1/stream", subprotocols=["tickerd.v1.json"]) as stream:
        client = Listener(stream)
        yield client, client.ask(op="sub", id=1, symbols=symbols, mode="full", interval_ms=0)


@pytest.mark.full
def test_a_new_token_and_a_new_list_reach_clients_while_they_are_subscribed(daemon, broker):
    """Who holds what is listed under another name, or not at all, has to ask again; all others stay."""
    process = daemon(YAML.format(ws=broker.at["ws"], rest=broker.rest))
    (process.directory / "token").write_text("demo-token")
    process.wait_for("instruments loaded", rows=500)
    with listening(process, "NSE:SBIN") as (same, _), listening(process, "NSE:INFY", "NSE:TCS") as (other, _):
        same.ticks_of(SBIN)
        other.ticks_of(INFY, TCS)
        broker.inject(fault="expire", cut=True)
        for client in (same, other):
            client.until(is_status("auth_required"), "the token is dead")
        token = login(broker.at, process)
        for client in (same, other):
            client.until(is_status("connected"), "a new token is used")
        same.ticks_of(SBIN)
        other.ticks_of(INFY, TCS)

        broker.edits = [(rf"^({INFY},\d+,)INFY,", r"\1INFYNEW,"), (rf"^{TCS},.*\n", "")]
        refresh(process)  # takes effect a minute after the first list at the earliest
        with same.read_on(), pytest.raises(ConnectionClosed) as closed:
            other.until(lambda _: False, "told to ask again")
        assert closed.value.rcvd.code == ASK_AGAIN
        with listening(process, "NSE:INFYNEW", "NSE:INFY", "NSE:TCS") as (again, answer):
            codes = {one["item"]: one["code"] for one in answer["rejected"]}
            assert codes == dict.fromkeys(["NSE:INFY", "NSE:TCS"], "unknown_symbol")
            again.ticks_of(INFY)
        same.ticks_of(SBIN)
    process.signal()
    assert process.end(60) == 0
    rows = process.rows()
    names = {row.get("symbol") for row in rows if row.get("instrument_token") == INFY}
    assert {"NSE:INFY", "NSE:INFYNEW"} <= names
    assert token not in process.log_file.read_text()


def is_status(state):
    return lambda one: one["t"] == "status" and one["state"] == state
