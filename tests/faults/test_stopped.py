"""A daemon that stands still for half a minute, as a laptop does or a machine that is moved: told, and mended."""

import json
import signal
import time
import urllib.request

import pytest

from tickerd_plugins.simulator import read_numbered

STILL_S = 30
YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    stale_after: 2s
    reconnect_after: 5s
    subscribe: [{{instruments: {tokens}}}]
sinks:
  archive: {{use: file, path: "ticks/{{date}}/{{exchange}}.jsonl", batch: {{max_wait: 20ms}}}}
state: {{dir: state}}
journal: {{min_free: 1MiB}}
"""


def ask(at, path):
    with urllib.request.urlopen(at["rest"] + path, timeout=30) as answer:
        return answer.read().decode()


def accepted(at):
    """Connections that the broker has taken so far."""
    return json.loads(ask(at, "/simulator/state"))["counters"]["accepted"]


def cut(at):
    """The broker resets the connection."""
    request = urllib.request.Request(f"{at['rest']}/simulator/faults", b'{"fault": "drop"}')
    urllib.request.urlopen(request, timeout=30).close()


@pytest.mark.full
@pytest.mark.parametrize("is_cut", [False, True], ids=["connection stays", "connection is cut meanwhile"])
def test_after_half_a_minute_it_goes_on_and_declares_what_it_missed(daemon, simulator, tmp_path, is_cut):
    """What the broker sent into a connection that stays is read late: nothing is missing, and no gap is told."""
    log = tmp_path / "numbers"
    at = simulator("--rate", "500", "--numbered", str(log))
    lines = ask(at, "/instruments").splitlines()[1:]
    tokens = [int(line.split(",")[0]) for line in lines if ",NSE,NSE" in line][:100]
    process = daemon(YAML.format(**at, tokens=json.dumps(tokens)))
    process.wait_for("ready")
    process.wait_for("unit reports", unit="sink.archive", state="writing")
    process.signal(signal.SIGSTOP)
    stopped_ns = time.time_ns()
    if is_cut:
        cut(at)
    time.sleep(STILL_S)
    continued_ns = time.time_ns()
    process.signal(signal.SIGCONT)
    assert process.wait_for("process stood still")["seconds"] >= STILL_S - 2
    wait_for_ticks(process, continued_ns + 3 * 10**9)
    assert accepted(at) == 1 + is_cut
    process.signal()
    assert process.end(60) == 0

    rows = process.rows()
    ticks = [row for row in rows if "record" not in row]
    gaps = [row for row in rows if row.get("record") == "gap"]
    numbers = [row["volume_traded"] for row in ticks if "snapshot" not in row["flags"]]
    assert len(numbers) == len(set(numbers))
    seen = {row["volume_traded"] for row in ticks}
    sent = {n for one in read_numbered(log) for n, _ in one.numbers() if min(seen) <= n}
    missing = {n for n in sent - seen if n < max(seen)}
    assert "event loop blocked for too long" not in process.log_file.read_text()
    if not is_cut:
        assert (missing, gaps) == (set(), [])
        return
    (gap,) = gaps
    assert gap["since_ns"] <= stopped_ns
    assert gap["until_ns"] >= continued_ns


def wait_for_ticks(process, since_ns):
    """Until one is stored that came then or later."""
    end = time.monotonic() + 60
    while not any(row["ts_recv"] >= since_ns for row in process.rows() if "record" not in row):
        assert time.monotonic() < end, process.log_file.read_text()
        time.sleep(0.2)
