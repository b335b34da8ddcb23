"""Full load for minutes: everything that the broker allows, at the rate of a busy opening, in bounded memory."""

import json
import re
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import unix_connect

MINUTES = 3
CLIENTS = 5
MOST_KB = 512 * 1024
YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: {tokens}, mode: full}}]
sinks:
  archive: {{use: file, path: "ticks/{{date}}.jsonl", compress: zstd}}
  stream: {{use: websocket, listen: "unix:stream.sock"}}
state: {{dir: state}}
journal: {{min_free: 1MiB, max_size: 2GiB}}
"""


def read(path, tokens, over, heard):
    """A client that wants everything."""
    address, protocol = "ws://localhost/v1/stream", "tickerd.v1.json"
    with unix_connect(path, address, subprotocols=[protocol], max_size=None) as stream:
        for start in range(0, len(tokens), 3000):
            asked = {"op": "sub", "tokens": tokens[start : start + 3000], "mode": "full", "interval_ms": 1000}
            stream.send(json.dumps(asked))
        while not over.is_set():
            heard.append(len(stream.recv(timeout=60)))


@pytest.mark.full
def test_memory_stays_below_its_limit_under_full_load(daemon, simulator):
    at = simulator("--rate", "30000")
    with urllib.request.urlopen(f"{at['rest']}/instruments", timeout=60) as answer:
        tokens = [int(line.split(",")[0]) for line in answer.read().decode().splitlines()[1:9001]]
    process = daemon(YAML.format(**at, tokens=json.dumps(tokens)))
    process.wait_for("ready", 120)
    over, heard = threading.Event(), [[] for _ in range(CLIENTS)]
    path = f"{process.directory}/stream.sock"
    clients = [threading.Thread(target=read, args=(path, tokens, over, one)) for one in heard]
    for one in clients:
        one.start()
    time.sleep(60 * MINUTES)
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    over.set()
    for one in clients:
        one.join(90)
    assert all(sum(one) > 2**20 for one in heard)
    process.signal()
    assert process.end(90) == 0
    peak_kb = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    print(f"peak resident memory {peak_kb / 1024:.0f} MB")
    assert peak_kb < MOST_KB
