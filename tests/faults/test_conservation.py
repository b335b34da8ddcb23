"""Nothing is lost but while the process was down, and nothing is twice: a numbered feed and SIGKILLs."""

import json
import random
import time

import pytest

from tickerd_plugins.simulator import read_numbered

YAML = """
sources:
  kite:
    use: kite
    api_key: demo
    access_token: demo-token
    ws_url: {ws}
    rest_url: {rest}
    backoff_initial: 50ms
    subscribe: [{{instruments: {tokens}}}]
sinks:
  archive: {{use: file, path: "ticks/{{date}}/{{exchange}}.jsonl"}}
state: {{dir: state}}
journal: {{min_free: 1MiB}}
"""


def tokens(simulator_listing, count):
    """Tokens of tradable instruments."""
    return [int(line.split(",")[0]) for line in simulator_listing if ",NSE,NSE" in line][:count]


def listing(rest):
    from urllib.request import urlopen

    with urlopen(f"{rest}/instruments") as answer:
        return answer.read().decode().splitlines()[1:]


def check(process, sent, kills):
    """Compare what was stored with what was sent."""
    rows = process.rows()
    ticks = [row for row in rows if "record" not in row]
    gaps = [row for row in rows if row.get("record") == "gap"]
    numbers = [row["volume_traded"] for row in ticks if "snapshot" not in row["flags"]]
    assert len(numbers) == len(set(numbers)), "a number stands twice in the files"
    stored = set(numbers)
    everything = sorted(ticks, key=lambda row: (row["epoch"], row["seq"]))
    ends = {}
    for row in everything:
        first, last = ends.get(row["epoch"], (row["ts_recv"], row["ts_recv"]))
        ends[row["epoch"]] = (min(first, row["ts_recv"]), max(last, row["ts_recv"]))
    down = [(ends[a][1], ends[b][0]) for a, b in zip(sorted(ends), sorted(ends)[1:], strict=False)]
    assert len(down) == kills
    slack = 1_000_000_000
    live = [row for row in ticks if "snapshot" not in row["flags"]]
    holes = []  # numbers that nobody was there to read: after the last of one run, before the first of the next
    for run, following in zip(sorted(ends), sorted(ends)[1:], strict=False):
        last = max((row["volume_traded"] for row in live if row["epoch"] <= run), default=0)
        first = min((row["volume_traded"] for row in live if row["epoch"] >= following), default=last)
        holes.append((last, first))
    seen = {row["volume_traded"] for row in ticks}
    low, high = min(stored), max(stored)
    missing = [n for frame in sent for n, _ in frame.numbers() if low <= n <= high and n not in seen]
    unexplained = [n for n in missing if not any(last < n < first for last, first in holes)]
    assert not unexplained, f"{len(unexplained)} numbers are missing that a running daemon was sent"
    restarts = [gap for gap in gaps if gap["reason"] == "restart"]
    assert len(restarts) == len(down)
    for gap, (stopped, began) in zip(restarts, down, strict=True):
        assert stopped - slack <= gap["since_ns"] <= gap["until_ns"] <= began + slack
    return len(stored), len(missing), gaps


def recorded(process):
    """The newest segment of the journal, and its bytes."""
    segments = sorted((process.directory / "state/journal").glob("*.tkj"))
    return (segments[-1].name, segments[-1].stat().st_size) if segments else ("", 0)


def wait_for_ticks(process):
    """Until this start has recorded some."""
    before, end = recorded(process), time.monotonic() + 30
    while not before < recorded(process):
        assert time.monotonic() < end, process.log_file.read_text()
        time.sleep(0.02)


def run(daemon_class, directory, at, count, seconds, kills, seed=1):
    rng = random.Random(seed)
    yaml = YAML.format(**at, tokens=json.dumps(tokens(listing(at["rest"]), count)))
    process = daemon_class(directory, yaml)
    process.wait_for("ready")
    for _ in range(kills):
        wait_for_ticks(process)
        time.sleep(rng.uniform(0, 2 * seconds / kills))
        process.process.kill()
        process.process.wait()
        process.start()
        process.wait_for_ready_again()
    wait_for_ticks(process)
    process.signal()
    assert process.end(60) == 0
    return process


@pytest.mark.full
def test_ten_kills_at_30000_ticks_a_second_lose_nothing_but_down_time(daemon_class, simulator, tmp_path):
    log = tmp_path / "numbers"
    at = simulator("--rate", "30000", "--numbered", str(log))
    process = run(daemon_class, tmp_path / "d", at, 1000, 30, 10)
    stored, missing, _ = check(process, list(read_numbered(log)), 10)
    print(f"stored {stored}, missing while down {missing}")


@pytest.mark.full
def test_two_kills_lose_nothing_but_down_time(daemon_class, simulator, tmp_path):
    log = tmp_path / "numbers"
    at = simulator("--rate", "3000", "--numbered", str(log))
    process = run(daemon_class, tmp_path / "d", at, 200, 7, 2)
    check(process, list(read_numbered(log)), 2)


@pytest.mark.full
def test_a_target_that_is_down_half_the_time_gets_every_number_once_in_the_end(
    daemon_class, simulator, tmp_path
):
    log = tmp_path / "numbers"
    at = simulator("--rate", "3000", "--numbered", str(log))
    yaml = YAML.format(**at, tokens=json.dumps(tokens(listing(at["rest"]), 200)))
    yaml = yaml.replace("sinks:\n", "sinks:\n  flaky: {use: bad, how: flaky, buffer: 64KiB}\n")
    process = daemon_class(tmp_path / "d", yaml)
    process.wait_for("ready")
    down = process.directory / "down"
    for _ in range(4):
        time.sleep(1)
        down.touch()
        time.sleep(1)
        down.unlink()
    process.wait_for("unit ended, will be restarted", unit="sink.flaky", reason="target is down")
    goal = max(row["volume_traded"] for row in process.rows() if "record" not in row)
    target, end = process.directory / "target", time.monotonic() + 90
    while True:
        whole = target.read_text().rpartition("\n")[0] if target.exists() else ""
        if max((int(line.split()[0]) for line in whole.splitlines()), default=0) >= goal:
            break
        assert time.monotonic() < end, "the sink has not caught up"
        time.sleep(0.5)
    process.signal()
    assert process.end(30) == 0
    lines = [line.split() for line in (process.directory / "target").read_text().splitlines()]
    numbers = [int(line[0]) for line in lines if len(line) == 1]
    archived = {
        row["volume_traded"] for row in process.rows() if "snapshot" not in row.get("flags", ["snapshot"])
    }
    assert len(numbers) == len(set(numbers))
    assert numbers == sorted(numbers)
    assert set(numbers) == archived


@pytest.mark.full
@pytest.mark.root
def test_a_full_disk_costs_the_journal_a_gap_and_the_live_feed_nothing(daemon_class, simulator, tmp_path):
    """The journal lies on a tmpfs of 16 MB that is filled and freed; a live sink elsewhere gets every number."""
    import subprocess

    log = tmp_path / "numbers"
    at = simulator("--rate", "3000", "--numbered", str(log))
    yaml = YAML.format(**at, tokens=json.dumps(tokens(listing(at["rest"]), 200)))
    yaml = yaml.replace('jsonl"}', 'jsonl", delivery: live}')
    directory = tmp_path / "d"
    state = directory / "state"
    state.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16M", "tmpfs", str(state)], check=True)
    try:
        process = daemon_class(directory, yaml)
        process.wait_for("ready")
        time.sleep(2)
        filler = state / "filler"
        with filler.open("wb") as out:
            try:
                while True:
                    out.write(b"\0" * 65536)
                    out.flush()
            except OSError:
                pass
        process.wait_for("journal cannot be written, the feed goes on without it")
        time.sleep(1)
        filler.unlink()
        process.wait_for("journal has a gap")
        time.sleep(1)
        process.signal()
        assert process.end(30) == 0
    finally:
        subprocess.run(["umount", "-l", str(state)], check=True)
    rows = process.rows()
    ticks = [row for row in rows if "record" not in row]
    numbers = sorted({row["volume_traded"] for row in ticks})
    begin, end = min(row["ts_recv"] for row in ticks), max(row["ts_recv"] for row in ticks)
    sent = {
        n for frame in read_numbered(log) if begin <= frame.ts_ns <= end - 10**9 for n, _ in frame.numbers()
    }
    assert not sent - set(numbers)
    gaps = [row for row in rows if row.get("record") == "gap" and row["source"] == "journal"]
    assert gaps
    assert all(gap["reason"] == "journal_failed" and gap["lost"] > 0 for gap in gaps)
